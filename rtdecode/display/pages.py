"""The participant's open pages (one, as a rule) and the web server they come from."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtdecode import __version__
from rtdecode.feedback import FeedbackSettings


class Pages:
    """What the open pages are to show: each gets the newest, and none delays another."""

    def __init__(self) -> None:
        self._newest = ""
        self._open: set[asyncio.Queue[str]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def show(self, message: str) -> None:
        """Give every page a message, in place of one that it has not fetched yet."""
        self._newest = message
        for page in self._open:
            if page.full():
                page.get_nowait()
            page.put_nowait(message)

    def opened(self) -> asyncio.Queue[str]:
        """Return where a new page finds what it is to show, now and from now on."""
        page: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        if self._newest:
            page.put_nowait(self._newest)
        self._open.add(page)
        return page

    def closed(self, page: asyncio.Queue[str]) -> None:
        """Forget a page."""
        self._open.discard(page)


class _Painted(msgspec.Struct):
    id: int
    painted_unix_s: float


Painted = Callable[[int, float], None]


def website(
    settings: FeedbackSettings, pages: Pages, painted: Painted, tell: Callable[[str], None]
) -> Starlette:
    """Return the web server's side: the page, its pictures, and the frames it asks for.

    Parameters
    ----------
    settings
        What is shown.
    pages
        Where frames come from.
    painted
        Called with a frame's number and the page's time when it was painted.
    tell
        Says to the operator when a page is opened or closed.
    """
    images = dict(enumerate(settings.images.items()))
    low, high = settings.range
    zero = -low / (high - low)
    facts: dict[str, object] = {
        "display": settings.display,
        # A level that stands for no change, where it is neither empty nor full.
        "zero": zero if 0 < zero < 1 else 0,
        "images": {label: f"/images/{number}" for number, (label, _) in images.items()},
    }
    # A page that was opened by a display with other settings is to be loaded again.
    facts["version"] = hashlib.sha256(json.dumps([facts, __version__]).encode()).hexdigest()[:12]
    told = json.dumps(facts).replace("<", "\\u003c")
    html = files(__package__).joinpath("page.html").read_text("utf-8")
    html = html.replace("/*SETTINGS*/null", told)

    def page(_request: Request) -> Response:
        return HTMLResponse(html, headers={"cache-control": "no-store"})

    def image(request: Request) -> Response:
        number = int(request.path_params["number"])
        if number not in images:
            return Response(status_code=404)
        return FileResponse(Path(images[number][1]))

    async def frames(socket: WebSocket) -> None:
        # Another site's page that is open in this browser is not shown what the participant is.
        origin = socket.headers.get("origin")
        if origin not in {None, f"http://{socket.headers.get('host')}"}:
            await socket.close()
            return
        await socket.accept()
        if socket.query_params.get("version") != facts["version"]:
            await socket.send_text('{"reload": true}')
            await socket.close()
            return
        waiting = pages.opened()
        tell("a page is open")
        sending = asyncio.create_task(_send(socket, waiting))
        try:
            async for text in socket.iter_text():
                answer = msgspec.json.decode(text, type=_Painted)
                painted(answer.id, answer.painted_unix_s)
        except (WebSocketDisconnect, msgspec.MsgspecError):
            pass
        finally:
            pages.closed(waiting)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            tell("the page is closed" if not len(pages) else "a page is closed, another is open")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/images/{number:int}", image),
            WebSocketRoute("/frames", frames),
        ]
    )


async def _send(socket: WebSocket, waiting: asyncio.Queue[str]) -> None:
    while True:
        await socket.send_text(await waiting.get())
