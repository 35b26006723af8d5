"""Controls access to the page: a token for other computers, and no scripts of other sites.

One ASGI middleware checks all requests, HTTP and WebSocket.
"""

import hmac
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rtdecode.errors import ConfigError
from rtdecode.wire import is_loopback

COOKIE = "rtdecode_dashboard"
PARAMETER = "token"
MIN_TOKEN = 16
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def token_for(host: str, token_file: Path | None) -> str:
    """Return the token that the page requires; empty if only this computer reaches the page.

    Raises
    ------
    ConfigError
        The file cannot be read, or its token is too short or has wrong characters.
    """
    if token_file is None:
        return "" if is_loopback(host) else secrets.token_urlsafe(24)
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{token_file}: the token cannot be read: {error}") from error
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{token_file}: the token must be one line of at least {MIN_TOKEN} printable ASCII "
            "characters without spaces; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


class Gate:
    """Accepts requests with the token: first in the address, then in a cookie.

    Without a token it accepts only requests to the names of this computer, so that no web page can
    reach the dashboard by another name. It refuses requests of other sites' pages.

    Parameters
    ----------
    app
        The protected application.
    token
        The token; empty if none is required.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        headers = connection.headers
        if not _is_same_site(headers) or not (self._token or _is_local_name(headers)):
            await _refuse(scope, receive, send, "requests from other sites are refused")
            return
        if not self._token or self._is_token(connection.cookies.get(COOKIE, "")):
            await self._app(scope, receive, send)
            return
        token = connection.query_params.get(PARAMETER, "")
        if scope["type"] == "http" and scope["method"] == "GET" and self._is_token(token):
            # Remove the token from the address: it would be visible, and remain in the history.
            response: Response = RedirectResponse(scope["path"], 303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            response.headers["Referrer-Policy"] = "no-referrer"
            await response(scope, receive, send)
            return
        await _refuse(
            scope,
            receive,
            send,
            "this dashboard requires a token: open the address that it printed at its start",
        )

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # before accepting: HTTP 403
        return
    await PlainTextResponse(f"403: {reason}\n", 403)(scope, receive, send)


def _is_same_site(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _is_local_name(headers: Headers) -> bool:
    host = headers.get("host", "")
    name = host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name in _LOCAL_NAMES or is_loopback(name)
