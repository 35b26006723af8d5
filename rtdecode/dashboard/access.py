"""Who may see the page: a token for other computers, and no other site's scripts.

One ASGI middleware before everything, HTTP and WebSocket alike.
"""

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rtdecode.errors import ConfigError
from rtdecode.wire import is_loopback

COOKIE = "rtdecode_dashboard"
PARAMETER = "token"
MIN_TOKEN = 16
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def token_for(host: str, token_file: Path | None) -> str:
    """Return the token that the page asks for; empty on this computer's own address.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds no token that is long enough.
    """
    if token_file is None:
        return "" if is_loopback(host) else secrets.token_urlsafe(24)
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{token_file}: the token cannot be read: {error}") from error
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{token_file}: a token is one line of at least {MIN_TOKEN} printable ASCII "
            "characters without spaces; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


class Gate:
    """Lets in who shows the token, once in the address and then by a cookie.

    Without a token only requests to this computer's own names come in, so that no web page can
    reach the dashboard by a name of its own; and no request that another site's page has made.

    Parameters
    ----------
    app
        What lies behind.
    token
        What to show; empty for none.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not _own_site(headers) or not (self._token or _local_name(headers)):
            await _refuse(scope, receive, send, "requests from other sites are refused")
            return
        if not self._token or self._shown(_cookie(headers)):
            await self._app(scope, receive, send)
            return
        shown = parse_qs(scope["query_string"].decode("latin-1")).get(PARAMETER, [""])[0]
        if scope["type"] == "http" and scope["method"] == "GET" and self._shown(shown):
            # Out of the address at once: it would stay in the history, and be seen.
            response: Response = RedirectResponse(scope["path"], 303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            response.headers["Referrer-Policy"] = "no-referrer"
            await response(scope, receive, send)
            return
        await _refuse(
            scope,
            receive,
            send,
            "this dashboard asks for a token: open the address that it printed when it started",
        )

    def _shown(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # before accepting: HTTP 403
        return
    await PlainTextResponse(f"403: {why}\n", 403)(scope, receive, send)


def _own_site(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _local_name(headers: Headers) -> bool:
    host = headers.get("host", "")
    name = host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name in _LOCAL_NAMES or is_loopback(name)


def _cookie(headers: Headers) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""
