"""A calibration run, from disk or as it is acquired."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np

from rtdecode import dicom
from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.journal.pack import PACK
from rtdecode.service import ServiceSettings, serve
from rtdecode.service.settings import OnReady
from rtdecode.sources import recorded_volumes
from rtdecode.types import Outcome, Skipped, SkipReason, State, Volume
from rtdecode.wire import ANY_PORT


def read_run(path: Path) -> list[Volume]:
    """Read a finished run: DICOM images, or a session that `rtdecode serve` recorded.

    Raises
    ------
    ConfigError
        There is nothing of the kind.
    """
    if not path.exists():
        raise ConfigError(f"--run {path}: is not there")
    if path.name != PACK and not (path / PACK).is_file():
        try:
            return dicom.assemble([path])
        except VolumeError as error:
            raise ConfigError(f"--run {path}: {error}") from error
    return list(recorded_volumes(path))


def acquire(
    settings: ServiceSettings,
    on_volume: Callable[[Volume], None],
    on_ready: OnReady | None = None,
    clock: Clock | None = None,
    stop: Event | None = None,
) -> Path:
    """Take in a run as it is acquired, through the service that will later decode.

    Everything that comes is durable in the session's folder before it is acknowledged, so that a
    calibration which fails can be made again from there. Monitors may watch, by the session's
    name: its sockets take any free port, so that a service may run beside it.

    Parameters
    ----------
    settings
        Where the run comes from, how many volumes it has, and where it is recorded.
    on_volume
        Called with each volume in its order.
    on_ready
        Called once objects are accepted.
    clock
        The service's.
    stop
        Set from elsewhere to give up.

    Returns
    -------
    The session's folder.

    Raises
    ------
    ConfigError
        It cannot start.
    RunError
        It stopped before the run was complete; the message says why and how to go on.
    """
    # One run is asked for: what comes beside it neither ends it nor takes its place.
    settings = replace(settings, linger_s=0, outcomes=ANY_PORT, control=ANY_PORT, runs="volume")
    summary = serve(settings, _Collector(on_volume, settings.session), clock, on_ready, stop)
    if summary.fault or summary.state != "ended":
        why = summary.fault or "it was stopped"
        session = settings.session
        raise RunError(
            f"the calibration run is not complete: {why}. What came is in {session}; the same "
            f"command goes on with it, and --run {session} takes it as it is"
        )
    return settings.session


@dataclass(slots=True)
class _Collector:
    """Stands where a decoder would: decides nothing and hands volumes on."""

    on_volume: Callable[[Volume], None]
    session: Path
    next_index: int = 0
    bundle_digest: str = "calibration"
    classes: tuple[str, ...] = ("calibration run",)
    repetition_time_s: float = 0.0
    protocol: None = None
    """Every protocol is accepted."""

    def step(self, item: Volume | Skipped) -> Outcome:
        """Hand a volume on."""
        self.next_index = item.index + 1
        if isinstance(item, Skipped):
            return item
        self.on_volume(item)
        return Skipped(item.index, SkipReason.NOT_READY, "calibration run", stamps=item.stamps)

    def state(self) -> State:
        """Return how far it has come."""
        return {"next_index": np.array(self.next_index)}

    def restore(self, state: State) -> None:
        """Hand on from the record what had come before the run was broken off."""
        self.next_index = int(state["next_index"])
        if self.next_index == 0:
            return
        for volume in read_run(self.session):
            if volume.index < self.next_index:
                self.on_volume(volume)

    def warm_up(self) -> None:
        """Do nothing."""
