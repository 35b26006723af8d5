"""Serves the page: one process, one port, no file from the internet."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from nicegui import ui

from rtdecode import bundle as bundles
from rtdecode.bundle import Bundle
from rtdecode.client.follower import ServiceAddress
from rtdecode.dashboard.access import PARAMETER, Gate
from rtdecode.dashboard.operator_page import OperatorPage, Sources
from rtdecode.dashboard.service_connection import ServiceConnection
from rtdecode.dashboard.session_folder import SessionFolder
from rtdecode.errors import BundleError, ConfigError
from rtdecode.events import Block
from rtdecode.journal import read_remarks
from rtdecode.wire import on_this_computer

REPORT = "report.html"
NICE = 19
"""Lowest priority: on a busy processor the decoder gets about seventy times as much time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """The settings of the dashboard."""

    address: ServiceAddress
    bundle: Path | None
    """The decoder's bundle; `None`: the bundle of the session."""
    blocks: tuple[Block, ...]
    host: str
    port: int
    """Port of the page; 0: a free port."""
    token: str
    """Token that browsers must send; empty if none is required."""


def run(settings: DashboardSettings, on_ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Parameters
    ----------
    settings
        The settings of the dashboard.
    on_ready
        Called with the page's address, which contains the token, when the page can be opened.

    Raises
    ------
    ConfigError
        The port is in use, or the bundle cannot be used.
    """
    if hasattr(os, "nice"):
        os.nice(NICE)
    loaded = _bundle(settings)
    session = settings.address.session
    report = None if loaded is None else loaded.path / REPORT
    with ExitStack() as stack:
        listener = stack.enter_context(_listening(settings.host, settings.port))
        connection = stack.enter_context(ServiceConnection(settings.address))
        folder = None
        if session is not None:
            folder = stack.enter_context(SessionFolder(session, loaded, connection))
        sources = Sources(
            connection=connection,
            folder=folder,
            manifest=None if loaded is None else loaded.manifest,
            blocks=settings.blocks,
            name=session.resolve().name if session is not None else settings.address.outcomes,
            same_computer=_same_computer(settings.address),
            report=report is not None and report.is_file(),
        )
        app = _app(sources, report)
        config = uvicorn.Config(Gate(app, settings.token), log_level="warning", ws_max_size=2**20)
        server = uvicorn.Server(config)
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        query = f"?{PARAMETER}={settings.token}" if settings.token else ""
        on_ready(f"http://{host}:{port}/{query}")
        asyncio.run(server.serve(sockets=[listener]))


def _app(sources: Sources, report: Path | None) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @ui.page("/", title=f"{sources.name} – rtdecode", dark=None)
    def _page() -> None:
        OperatorPage(sources)

    @app.get("/slices.png")
    def _slices() -> Response:
        image = b"" if sources.folder is None else sources.folder.view.slices
        status = 200 if image else 404
        return Response(image, status, {"Cache-Control": "no-store"}, media_type="image/png")

    @app.get("/report")
    def _report() -> Response:
        if report is None or not sources.report:
            return Response("the bundle has no report\n", 404, media_type="text/plain")
        # The sandbox keeps scripts of the report from commanding the service.
        return FileResponse(report, headers={"Content-Security-Policy": "sandbox allow-scripts"})

    ui.run_with(
        app,
        reconnect_timeout=5.0,
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    return app


def _bundle(settings: DashboardSettings) -> Bundle | None:
    """Return the bundle of the settings, otherwise that of the session, if it can be read."""
    if settings.bundle is not None:
        return bundles.load(settings.bundle)
    session = settings.address.session
    try:
        serving = None if session is None else read_remarks(session).service_start
    except ConfigError:
        return None  # no service has opened the session yet
    path = None if serving is None else serving.settings.get("bundle")
    if not path:
        return None
    try:
        return bundles.load(Path(path))
    except BundleError as error:
        log.warning("the page has no outline of the mask and no report: %s", error)
        return None


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # early clients wait
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"the dashboard cannot listen at {host}:{port} ({error.strerror}); another dashboard "
            "may be open there: close it, or give another --port"
        ) from error
    return listener


def _same_computer(address: ServiceAddress) -> bool:
    try:
        outcomes, _ = address.endpoints()
    except ConfigError:
        return False
    return on_this_computer(outcomes)
