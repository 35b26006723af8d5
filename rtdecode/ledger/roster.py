"""Decides which series is the run's, with one message for each other series."""

import logging
import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from rtdecode.dicom import OtherImageError, Parsed, Series
from rtdecode.ledger.scan_protocol import ScanProtocol

_log = logging.getLogger(__name__)

_DAY_S = 86400.0


class RunMembership(StrEnum):
    """The run of an object."""

    OWN = "own"
    """The object belongs to the run, or begins it."""
    OTHER = "other"
    """The object does not belong to the run."""
    NEXT = "next"
    """The object begins another run of the same protocol."""


class Roster:
    """Assigns each series to the run, to the next run or to none; the last is final.

    Parameters
    ----------
    protocol
        The protocol of the run; `None` where it is not known.
    follow
        Whether a later series of the same protocol begins the next run.
    former
        Digests of the series of earlier runs.
    """

    def __init__(
        self, protocol: ScanProtocol | None, former: Iterable[str], *, follow: bool
    ) -> None:
        self._protocol = protocol
        self._former = frozenset(former)
        self._follow = follow
        self._left_out: set[str] = set()
        self._rivals: set[str] = set()
        self._clock_s = math.nan
        self.notice = ""

    @property
    def rivals(self) -> tuple[str, ...]:
        """Digests of other series that fit the protocol and arrived during the run."""
        return tuple(sorted(self._rivals))

    def settle(self) -> None:
        """From now on, no other series begins the next run."""
        self._follow = False

    def judge(self, parsed: Parsed, own: Series | None) -> RunMembership:
        """Assign an object.

        Parameters
        ----------
        parsed
            The object.
        own
            The run's series; `None` before its first object.
        """
        series = parsed.series
        if own is not None and own.same_run(series) and not series.kind:
            self._clock_s = _later_of(self._clock_s, _clock_s(parsed))
            return RunMembership.OWN
        key = _key(series)
        if key in self._left_out:
            return RunMembership.OTHER
        reason = self._reason(parsed, own)
        if reason:
            self._leave_out(key, series.series_number, reason)
            return RunMembership.OTHER
        if own is None:
            self._clock_s = _clock_s(parsed)
            return RunMembership.OWN
        rejection = self._rejection(parsed, own)
        if rejection:
            self._rivals.add(series.digest)
            self._leave_out(key, series.series_number, rejection)
            return RunMembership.OTHER
        return RunMembership.NEXT

    def has_left_out(self, series: Series) -> bool:
        """Whether the objects of a series are left out."""
        return _key(series) in self._left_out

    def leave_out(self, other: OtherImageError) -> None:
        """Leave out an object that is not an MR magnitude image."""
        key = f"{other.digest} {other.kind}"
        if key not in self._left_out:
            self._leave_out(key, other.series_number, f"they are {other.kind}")

    def state(self) -> dict[str, Any]:
        """Return the state for a restart, as JSON values."""
        return {
            "expected": None if self._protocol is None else self._protocol.facts(),
            "former": sorted(self._former),
            "follow": self._follow,
            "left_out": sorted(self._left_out),
            "rivals": sorted(self._rivals),
            "clock_s": None if math.isnan(self._clock_s) else self._clock_s,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Roster":
        """Return a roster that continues from a result of `state`."""
        protocol = ScanProtocol.from_facts(state["expected"])
        roster = cls(protocol, state["former"], follow=state["follow"])
        roster._left_out = set(state["left_out"])
        roster._rivals = set(state["rivals"])
        roster._clock_s = math.nan if state["clock_s"] is None else state["clock_s"]
        return roster

    def _reason(self, parsed: Parsed, own: Series | None) -> str:
        """Return why an object belongs to no run; empty if it may belong to one."""
        series = parsed.series
        if series.kind:
            return f"they are {series.kind}"
        if series.digest in self._former:
            return "their run has ended; to interrupt a run, pause it"
        if self._protocol is not None:
            differences = self._protocol.series_differences(series, parsed.slabs[0])
            if differences:
                return (
                    f"{'; '.join(differences)}. If they should be decoded, use the calibration "
                    "run's protocol or calibrate again"
                )
        if own is not None and own.digest == series.digest:
            return (
                f"{_described(series)}, the run's {_described(own)}: one matrix and one echo is "
                "decoded"
            )
        return ""

    def _rejection(self, parsed: Parsed, own: Series) -> str:
        """Return why an object of the right protocol begins no run; empty if it begins one."""
        if not self._follow:
            return f"the run is series {own.series_number}"
        if not self._is_later(parsed, own):
            return (
                f"they were acquired with or before the run's series {own.series_number}: a second "
                "reconstruction, or an earlier run"
            )
        return ""

    def _is_later(self, parsed: Parsed, own: Series) -> bool:
        """Whether an acquisition began after the newest image of the run.

        A second reconstruction of the run has the same times as the run. Without acquisition times
        the series number decides.
        """
        clock_s = _clock_s(parsed)
        if math.isnan(clock_s) or math.isnan(self._clock_s):
            return parsed.series.series_number > own.series_number
        return _is_after(clock_s, self._clock_s)

    def _leave_out(self, key: str, series_number: int, reason: str) -> None:
        self._left_out.add(key)
        self.notice = f"images of series {series_number} are left out: {reason}"
        _log.warning("%s", self.notice)


def _key(series: Series) -> str:
    return f"{series.digest} {series.matrix} {series.echo_time_ms} {series.kind}"


def _clock_s(parsed: Parsed) -> float:
    """Return an object's acquisition time of day; `nan` if unknown."""
    return min(slab.acquisition_clock_s for slab in parsed.slabs)


def _is_after(one_s: float, other_s: float) -> bool:
    """Whether the first time of day is later than the second; a session may pass midnight."""
    return 0 < (one_s - other_s) % _DAY_S < _DAY_S / 2


def _later_of(one_s: float, other_s: float) -> float:
    return other_s if math.isnan(one_s) or _is_after(other_s, one_s) else one_s


def _described(series: Series) -> str:
    columns, rows = series.matrix
    return f"{columns}x{rows}, echo {series.echo_time_ms:g} ms"
