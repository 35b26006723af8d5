"""The plan of a session, and the parts that earlier checks have opened."""

from dataclasses import dataclass
from pathlib import Path

from rtdecode.bundle import Bundle
from rtdecode.check.findings import NotTriedError
from rtdecode.clock import Clock
from rtdecode.engine import Provider
from rtdecode.errors import ConfigError
from rtdecode.keys import ServiceKeys
from rtdecode.pipeline import Pipeline
from rtdecode.service import ServiceSettings
from rtdecode.service.open_source import open_keys


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """The settings of the session to check."""

    settings: ServiceSettings
    """The settings of `rtdecode serve`."""
    bundle: Path
    provider: Provider
    minutes: float
    """Planned scanning time, minutes."""
    stimulus_s: float | None = None
    """Waiting time for the stimulus program, seconds; `None` skips the check of its link."""
    series: tuple[Path, ...] = ()
    """Files or folders of a test scan."""


@dataclass(slots=True)
class CheckContext:
    """A plan, and the parts of it that earlier checks have opened for later ones."""

    plan: SessionPlan
    clock: Clock
    loaded_bundle: Bundle | None = None
    pipeline: Pipeline | None = None
    start_wall_ns: int = 0
    start_monotonic_ns: int = 0

    @property
    def bundle(self) -> Bundle:
        """The verified bundle.

        Raises
        ------
        NotTriedError
            The bundle could not be loaded.
        """
        if self.loaded_bundle is None:
            raise NotTriedError("the bundle cannot be used")
        return self.loaded_bundle

    @property
    def decoder(self) -> Pipeline:
        """The decoder, before its first volume.

        Raises
        ------
        NotTriedError
            The decoder could not be opened.
        """
        if self.pipeline is None:
            raise NotTriedError("the decoder cannot be run")
        return self.pipeline

    @property
    def keys(self) -> ServiceKeys | None:
        """The service's keys, `None` if the plan has none.

        Raises
        ------
        NotTriedError
            The keys cannot be used.
        """
        try:
            return open_keys(self.plan.settings)
        except ConfigError as error:
            raise NotTriedError("the keys cannot be used") from error
