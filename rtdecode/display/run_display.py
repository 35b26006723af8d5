"""The participant's display: a web server of its own, beside a session's outcomes."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event

import uvicorn

from rtdecode.client import session_endpoints
from rtdecode.client.follower import follow_in_loop
from rtdecode.display.block_starts import report
from rtdecode.display.display_log import Displayed
from rtdecode.display.pages import Pages, website
from rtdecode.display.presenter import Presenter
from rtdecode.errors import ConfigError
from rtdecode.feedback import Assigned, Feedback, FeedbackSettings, RecordedDecisions
from rtdecode.wire import on_this_computer

HOST = "127.0.0.1"
"""Pages are opened on this machine only: nothing protects what they show."""
GRACE_S = 1
"""For open pages, when the display is ended."""


def show(
    session: Path,
    settings: FeedbackSettings,
    port: int,
    stop: Event,
    tell: Callable[[str], None],
    *,
    assigned: Assigned | None = None,
    recordings: tuple[RecordedDecisions, ...] = (),
    keys: Path | None = None,
) -> None:
    """Serve the participant's page until `stop` is set.

    Parameters
    ----------
    session
        The session's folder, in which the record is kept.
    settings
        What is shown when.
    port
        Of the page; 0 for any.
    stop
        Set from elsewhere, also by Ctrl-C.
    tell
        Says something to the operator; called by this thread only.
    assigned, recordings
        For sham feedback, see `rtdecode.feedback.Feedback`.
    keys
        This client's, where the service asks for them.

    Raises
    ------
    ConfigError
        The port is taken, nobody ever served the session, or settings do not fit the decoder.
    """
    same_clock = on_this_computer(session_endpoints(session)["outcomes"])
    begin = partial(
        Feedback, settings, same_clock=same_clock, assigned=assigned, recordings=recordings
    )
    pages = Pages()
    with Displayed(session, assigned) as record, _listening(port) as listening:
        presenter = Presenter(begin, pages, record, tell)
        app = website(settings, pages, presenter.painted, tell)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        tell(f"the participant's page is http://{HOST}:{listening.getsockname()[1]}/")
        asyncio.run(_serve(session, presenter, server, listening, stop, tell, keys))


async def _serve(
    session: Path,
    presenter: Presenter,
    server: uvicorn.Server,
    listening: socket.socket,
    stop: Event,
    tell: Callable[[str], None],
    keys: Path | None,
) -> None:
    """Run web server, clock and feed; the first that ends or fails ends all."""
    loop = asyncio.get_running_loop()
    feed = loop.create_task(follow_in_loop(session, presenter, stop, keys))
    clock = loop.create_task(presenter.run())
    reports = loop.create_task(report(presenter.events, session, keys, tell))

    def end(_task: object) -> None:
        server.should_exit = True

    feed.add_done_callback(end)
    clock.add_done_callback(end)
    try:
        await server.serve(sockets=[listening])
    finally:
        stop.set()
        clock.cancel()
        ended = await asyncio.gather(feed, clock, reports, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {HOST}:{port} ({error.strerror}); another program may be there: "
            "stop it, or choose another port with --port"
        ) from error
