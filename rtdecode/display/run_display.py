"""Runs the participant's display: its web server and the connection to the service."""

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
from rtdecode.display.display_log import DisplayLog
from rtdecode.display.pages import Pages, website
from rtdecode.display.presenter import Presenter
from rtdecode.errors import ConfigError
from rtdecode.feedback import Assignment, Feedback, FeedbackSettings, RecordedDecisions
from rtdecode.wire import on_this_computer

HOST = "127.0.0.1"
"""Only this computer can open pages, because they are not protected."""
GRACE_S = 1
"""Time for open pages to close at the end of the display, seconds."""


def show(
    session: Path,
    settings: FeedbackSettings,
    port: int,
    stop: Event,
    notify: Callable[[str], None],
    *,
    assignment: Assignment | None = None,
    recordings: tuple[RecordedDecisions, ...] = (),
    keys: Path | None = None,
) -> None:
    """Serve the participant's page until `stop` is set.

    Parameters
    ----------
    session
        The session's folder, also for the record.
    settings
        The settings of the feedback.
    port
        Port of the page; 0: a free port.
    stop
        Set by another thread or by Ctrl-C.
    notify
        Shows a message to the operator; called only in this thread.
    assignment, recordings
        For sham feedback, see `rtdecode.feedback.Feedback`.
    keys
        Folder or secret file of this client's keys, for a service that requires keys.

    Raises
    ------
    ConfigError
        The port is in use, no service has opened the session, or the settings do not fit the
        decoder.
    """
    same_clock = on_this_computer(session_endpoints(session)["outcomes"])
    begin = partial(
        Feedback, settings, same_clock=same_clock, assignment=assignment, recordings=recordings
    )
    pages = Pages()
    with DisplayLog(session, assignment) as record, _listening(port) as listening:
        presenter = Presenter(begin, pages, record, notify)
        app = website(settings, pages, presenter.painted, notify)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        notify(f"the participant's page is http://{HOST}:{listening.getsockname()[1]}/")
        asyncio.run(_serve(session, presenter, server, listening, stop, notify, keys))


async def _serve(
    session: Path,
    presenter: Presenter,
    server: uvicorn.Server,
    listening: socket.socket,
    stop: Event,
    notify: Callable[[str], None],
    keys: Path | None,
) -> None:
    """Run web server, clock and connection; if one ends or fails, all end."""
    loop = asyncio.get_running_loop()
    follower = loop.create_task(follow_in_loop(session, presenter, stop, keys))
    clock = loop.create_task(presenter.run())
    reports = loop.create_task(report(presenter.events, session, keys, notify))

    def end(_task: object) -> None:
        server.should_exit = True

    follower.add_done_callback(end)
    clock.add_done_callback(end)
    try:
        await server.serve(sockets=[listening])
    finally:
        stop.set()
        clock.cancel()
        ended = await asyncio.gather(follower, clock, reports, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {HOST}:{port} ({error.strerror}); another program may use it: "
            "stop it, or choose another port with --port"
        ) from error
