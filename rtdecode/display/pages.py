"""The participant's open pages (normally one) and their web server."""

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
    """The open pages. Each page gets the newest message, and no page delays another."""

    def __init__(self) -> None:
        self._newest = ""
        self._open: set[asyncio.Queue[str]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def show(self, message: str) -> None:
        """Send a message to every page; it replaces a message that is not sent yet."""
        self._newest = message
        for page in self._open:
            if page.full():
                page.get_nowait()
            page.put_nowait(message)

    def open(self) -> asyncio.Queue[str]:
        """Return the queue of a new page, with the newest message in it."""
        page: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        if self._newest:
            page.put_nowait(self._newest)
        self._open.add(page)
        return page

    def close(self, page: asyncio.Queue[str]) -> None:
        """Remove the queue of a page."""
        self._open.discard(page)


class _PaintMessage(msgspec.Struct):
    """The message of a page that has painted a frame."""

    id: int
    painted_unix_s: float


OnPaint = Callable[[int, float], None]


def website(
    settings: FeedbackSettings, pages: Pages, on_paint: OnPaint, notify: Callable[[str], None]
) -> Starlette:
    """Return the web application: the page, its pictures and its frames.

    Parameters
    ----------
    settings
        The settings of the feedback.
    pages
        The source of the frames.
    on_paint
        Called with the number of a painted frame and the time of the page's clock.
    notify
        Shows the operator that a page was opened or closed.
    """
    images = dict(enumerate(settings.images.items()))
    low, high = settings.range
    zero = -low / (high - low)
    page_settings: dict[str, object] = {
        "display": settings.display,
        # The level of no change, if it is between empty and full.
        "zero": zero if 0 < zero < 1 else 0,
        "images": {label: f"/images/{number}" for number, (label, _) in images.items()},
    }
    # The version makes a page with other settings reload.
    page_settings["version"] = hashlib.sha256(
        json.dumps([page_settings, __version__]).encode()
    ).hexdigest()[:12]
    text = json.dumps(page_settings).replace("<", "\\u003c")
    html = files(__package__).joinpath("page.html").read_text("utf-8")
    html = html.replace("/*SETTINGS*/null", text)

    def page(_request: Request) -> Response:
        return HTMLResponse(html, headers={"cache-control": "no-store"})

    def image(request: Request) -> Response:
        number = int(request.path_params["number"])
        if number not in images:
            return Response(status_code=404)
        return FileResponse(Path(images[number][1]))

    async def frames(socket: WebSocket) -> None:
        # Pages of other sites in this browser must not read the frames.
        origin = socket.headers.get("origin")
        if origin not in {None, f"http://{socket.headers.get('host')}"}:
            await socket.close()
            return
        await socket.accept()
        if socket.query_params.get("version") != page_settings["version"]:
            await socket.send_text('{"reload": true}')
            await socket.close()
            return
        queue = pages.open()
        notify("a page is open")
        sending = asyncio.create_task(_send(socket, queue))
        try:
            async for text in socket.iter_text():
                answer = msgspec.json.decode(text, type=_PaintMessage)
                on_paint(answer.id, answer.painted_unix_s)
        except (WebSocketDisconnect, msgspec.MsgspecError):
            pass
        finally:
            pages.close(queue)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            notify("the page is closed" if not len(pages) else "a page is closed, another is open")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/images/{number:int}", image),
            WebSocketRoute("/frames", frames),
        ]
    )


async def _send(socket: WebSocket, queue: asyncio.Queue[str]) -> None:
    while True:
        await socket.send_text(await queue.get())
