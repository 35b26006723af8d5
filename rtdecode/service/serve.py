"""Runs a service until its end."""

import threading

import zmq

from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError
from rtdecode.journal import Journal
from rtdecode.keys import Doorkeeper
from rtdecode.pipeline import Decoder
from rtdecode.service.main_loop import MainLoop
from rtdecode.service.open_source import check_settings, open_keys
from rtdecode.service.settings import ExitSummary, OnReady, ServiceSettings
from rtdecode.service.sockets import Sockets
from rtdecode.signals import stopped_by_signals


def serve(
    settings: ServiceSettings,
    decoder: Decoder,
    clock: Clock | None = None,
    on_ready: OnReady | None = None,
    stop: threading.Event | None = None,
) -> ExitSummary:
    """Decode the source's objects until the run is complete or the service is stopped.

    In a program's main thread Ctrl-C and SIGTERM stop it cleanly: the run stays unfinished, and
    continues when the same session folder is served again.

    Parameters
    ----------
    settings
        The service's settings.
    decoder
        In its initial state.
    clock
        For stamps and deadlines.
    on_ready
        Called from this thread when objects are accepted and requests answered.
    stop
        Another thread sets it to stop the service as Ctrl-C does.

    Raises
    ------
    ConfigError
        The service cannot start; the message lists the problems.
    """
    check_settings(settings)
    clock = clock or SystemClock()
    stop = stop or threading.Event()
    keys = open_keys(settings)
    with (
        zmq.Context() as context,
        Journal(settings.session) as journal,
        Doorkeeper(context, keys),
        Sockets(context, settings.outcomes, settings.control, keys) as sockets,
        stopped_by_signals(stop),
    ):
        service = MainLoop(settings, journal, decoder, clock, sockets, stop)
        try:
            service.run(context, on_ready, keys)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - the service reports every fault
            service.fault(error)
        service.linger()
        return service.summary()
