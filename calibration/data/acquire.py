"""Read a calibration run from disk, or receive it during its acquisition."""

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
        The path does not exist or has no such run.
    """
    if not path.exists():
        raise ConfigError(f"--run {path}: does not exist")
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
    """Receive a run during its acquisition, through the same service that decodes later.

    Each object is stored durably in the session's folder before it is acknowledged, so that a
    failed calibration can be repeated from there. Monitors can watch by the session's name. The
    sockets use any free port, so that another service can run at the same time.

    Parameters
    ----------
    settings
        Source of the run, its number of volumes, and the folder of the session.
    on_volume
        Called with each volume in order.
    on_ready
        Called when objects are accepted.
    clock
        The service's clock.
    stop
        Another thread sets it to stop.

    Returns
    -------
    The session's folder.

    Raises
    ------
    ConfigError
        The service cannot start.
    RunError
        The service stopped before the run was complete; the message gives the reason and remedy.
    """
    # The number of volumes ends the run; objects of other series are ignored.
    settings = replace(settings, linger_s=0, outcomes=ANY_PORT, control=ANY_PORT, runs="volume")
    summary = serve(settings, _Collector(on_volume, settings.session), clock, on_ready, stop)
    if summary.fault or summary.state != "ended":
        why = summary.fault or "the service was stopped"
        session = settings.session
        raise RunError(
            f"the calibration run is not complete: {why}. The received part is in {session}: "
            f"repeat the same command to continue, or use --run {session} to calibrate on this part"
        )
    return settings.session


@dataclass(slots=True)
class _Collector:
    """Takes the place of a decoder in the service: passes volumes on and decides nothing."""

    on_volume: Callable[[Volume], None]
    session: Path
    next_index: int = 0
    bundle_digest: str = "calibration"
    classes: tuple[str, ...] = ("calibration run",)
    repetition_time_s: float = 0.0
    protocol: None = None
    """Every protocol is accepted."""

    def step(self, item: Volume | Skipped) -> Outcome:
        """Pass a volume on."""
        self.next_index = item.index + 1
        if isinstance(item, Skipped):
            return item
        self.on_volume(item)
        return Skipped(item.index, SkipReason.NOT_READY, "calibration run", stamps=item.stamps)

    def state(self) -> State:
        """Return the index of the next volume."""
        return {"next_index": np.array(self.next_index)}

    def restore(self, state: State) -> None:
        """Pass on the recorded volumes that arrived before an interruption."""
        self.next_index = int(state["next_index"])
        if self.next_index == 0:
            return
        for volume in read_run(self.session):
            if volume.index < self.next_index:
                self.on_volume(volume)

    def warm_up(self) -> None:
        """Do nothing."""
