"""What is checked: the plan of a session, and what of it could be opened so far."""

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
    """A session as it is going to be served."""

    settings: ServiceSettings
    """As `rtdecode serve` would have them."""
    bundle: Path
    provider: Provider
    minutes: float
    """How much is going to be scanned in the session."""
    stimulus_s: float | None = None
    """How long the stimulus program is waited for; `None`: its link is not tried."""
    series: tuple[Path, ...] = ()
    """Files or folders of a series that was scanned as a test."""


@dataclass(slots=True)
class Subject:
    """A plan, and what earlier checks have opened of it for later ones."""

    plan: SessionPlan
    clock: Clock
    loaded: Bundle | None = None
    pipeline: Pipeline | None = None
    began_wall_ns: int = 0
    began_monotonic_ns: int = 0

    @property
    def bundle(self) -> Bundle:
        """The bundle, verified.

        Raises
        ------
        NotTriedError
            It could not be loaded.
        """
        if self.loaded is None:
            raise NotTriedError("the bundle cannot be used")
        return self.loaded

    @property
    def decoder(self) -> Pipeline:
        """The decoder, before its first volume.

        Raises
        ------
        NotTriedError
            It could not be opened.
        """
        if self.pipeline is None:
            raise NotTriedError("the decoder cannot be run")
        return self.pipeline

    @property
    def keys(self) -> ServiceKeys | None:
        """The service's keys, `None` where the plan names none.

        Raises
        ------
        NotTriedError
            They cannot be used.
        """
        try:
            return open_keys(self.plan.settings)
        except ConfigError as error:
            raise NotTriedError("the keys cannot be used") from error
