"""Who is let in."""

import asyncio
import os

import pytest

from rtdecode.dashboard.access import COOKIE, Gate, token_for
from rtdecode.errors import ConfigError
from rtdecode.wire import is_loopback

TOKEN = "a-token-of-enough-letters"  # noqa: S105 - a made-up one


async def _behind(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the page"})


def ask(token, *, kind="http", query="", method="GET", **headers):
    """Return the messages that one request is answered with."""
    sent = []
    names = {"host": "127.0.0.1:7810", **headers}
    scope = {
        "type": kind,
        "method": method,
        "path": "/",
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in names.items()],
    }

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(Gate(_behind, token)(scope, receive, send))
    return sent


def status(sent):
    """Return the HTTP status, or how a WebSocket was answered."""
    return sent[0].get("status", sent[0]["type"])


def test_on_this_computer_nothing_is_asked_for():
    assert status(ask("")) == 200
    assert status(ask("", kind="websocket")) == "websocket.accept"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7810", "192.168.2.1", ""])
def test_without_a_token_no_other_name_leads_here(host):
    """A web page whose name was pointed at 127.0.0.1 stays outside."""
    assert status(ask("", host=host)) == 403
    assert status(ask("", kind="websocket", host=host)) == "websocket.close"


@pytest.mark.parametrize("token", ["", TOKEN])
def test_other_sites_scripts_are_refused(token):
    allowed = {"cookie": f"{COOKIE}={TOKEN}"}
    for kind, expected in (("http", 403), ("websocket", "websocket.close")):
        sent = ask(token, kind=kind, origin="http://evil.example", **allowed)
        assert status(sent) == expected
    own = ask(token, kind="websocket", origin="http://127.0.0.1:7810", **allowed)
    assert status(own) == "websocket.accept"


def test_without_the_token_nothing_is_seen():
    for headers in ({}, {"cookie": f"{COOKIE}=wrong"}, {"cookie": "\x00=;;"}):
        assert status(ask(TOKEN, **headers)) == 403
        assert status(ask(TOKEN, kind="websocket", **headers)) == "websocket.close"
    assert status(ask(TOKEN, query="token=wrong")) == 403
    assert status(ask(TOKEN, query=f"token={TOKEN}", method="POST")) == 403
    # A socket needs the cookie: an address with the token in it would be logged.
    assert status(ask(TOKEN, kind="websocket", query=f"token={TOKEN}")) == "websocket.close"


def test_the_token_in_the_address_becomes_a_cookie():
    sent = ask(TOKEN, query=f"token={TOKEN}")
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert sent[0]["status"] == 303
    assert headers["location"] == "/"
    assert "HttpOnly" in headers["set-cookie"]
    assert "samesite=strict" in headers["set-cookie"].lower()
    cookie = headers["set-cookie"].partition(";")[0]
    assert status(ask(TOKEN, cookie=cookie, host="192.168.2.1:7810")) == 200
    assert status(ask(TOKEN, kind="websocket", cookie=cookie)) == "websocket.accept"


def test_other_computers_need_a_token():
    assert token_for("127.0.0.1", None) == ""
    assert len(token_for("192.168.2.1", None)) >= 32
    assert token_for("192.168.2.1", None) != token_for("192.168.2.1", None)
    hosts = ("localhost", "::1", "[::1]", "127.0.0.2", "192.168.2.1", "::", "pc")
    assert [is_loopback(host) for host in hosts] == [True] * 4 + [False] * 3


def test_a_token_file_is_used_and_judged(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert token_for("127.0.0.1", path) == TOKEN
    for content in ("short", "two words, long enough though", "nicht-ASCII-" + "ä" * 10, ""):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match="at least 16"):
            token_for("127.0.0.1", path)
    path.unlink()
    with pytest.raises(ConfigError, match=os.strerror(2)):
        token_for("127.0.0.1", path)
