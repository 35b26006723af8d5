"""Decisions for Lab Streaming Layer: one stream of numbers, one of labels.

The stream `rtdecode` (type `Decision`, irregular) has one sample per volume: the volume's number,
1 if the volume is usable as evidence or else 0, and the window and the fast probability of each
class (NaN for a volume without a decision). The stream `rtdecode-labels` (type `Markers`) has the
label, or `skipped: ` and the reason.
"""

import math
from pathlib import Path
from threading import Event
from typing import Any

from rtdecode.client.follower import follow
from rtdecode.errors import ConfigError
from rtdecode.types import Decision
from rtdecode.wire import Numbered, Status

NAME, MARKERS = "rtdecode", "rtdecode-labels"
_QUIET = "[log]\nlevel = -2\n"
_THIS_MACHINE = "[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n"


def run(session: Path, stop: Event, *, network: bool = False, keys: Path | None = None) -> None:
    """Offer the streams until `stop` is set.

    Parameters
    ----------
    session
        Folder of a session that a service has opened.
    stop
        Set by another thread.
    network
        Announce the streams to other computers, as the configuration file of liblsl says;
        otherwise only to programs on this computer.
    keys
        As for `rtdecode.client.follower.follow`.

    Raises
    ------
    ConfigError
        pylsl or its library is missing, or the adapter cannot start.
    """
    pylsl = _library()
    if not network:
        pylsl.set_config_content(_QUIET + _THIS_MACHINE)
    follow(session, _Streams(pylsl), stop, keys)


class _Streams:
    def __init__(self, pylsl: Any) -> None:
        self._pylsl = pylsl
        self._classes: tuple[str, ...] = ()
        self._numbers: Any = None
        self._labels: Any = None

    def begin(self, status: Status) -> None:
        """Offer the streams of a session and its classes."""
        key = f"{NAME}-{status.session}-{status.bundle}"
        if self._numbers is not None and self._numbers.get_info().source_id() == key:
            return
        # End the old streams first, so that readers find the new ones by their new identifiers.
        self._numbers = self._labels = None
        self._classes = status.classes
        pylsl = self._pylsl
        channels = (
            "volume",
            "usable",
            *(f"probability {name}" for name in self._classes),
            *(f"fast {name}" for name in self._classes),
        )
        info = pylsl.StreamInfo(
            NAME, "Decision", len(channels), pylsl.IRREGULAR_RATE, "double64", key
        )
        description = info.desc().append_child("channels")
        for channel in channels:
            description.append_child("channel").append_child_value("label", channel)
        self._numbers = pylsl.StreamOutlet(info)
        labels = pylsl.StreamInfo(
            MARKERS, "Markers", 1, pylsl.IRREGULAR_RATE, "string", f"{key}-labels"
        )
        self._labels = pylsl.StreamOutlet(labels)

    def take(self, numbered: Numbered) -> None:
        """Push one sample into each stream, with the current time."""
        outcome = numbered.outcome
        blank = (math.nan,) * len(self._classes)
        probabilities = fast = blank
        label, usable = "", 0.0
        if isinstance(outcome, Decision):
            label = outcome.label
            if len(outcome.probabilities) == len(blank):
                probabilities, fast = outcome.probabilities, outcome.fast
                usable = float(outcome.quality.usable)
        else:
            label = f"skipped: {outcome.reason}"
        now_s = self._pylsl.local_clock()
        self._numbers.push_sample([float(outcome.index), usable, *probabilities, *fast], now_s)
        self._labels.push_sample([label], now_s)


def _library() -> Any:
    try:
        import pylsl
    except ModuleNotFoundError as error:
        raise ConfigError(
            "rtdecode adapt lsl needs pylsl, which is not installed; pip install 'rtdecode[lsl]'"
        ) from error
    except RuntimeError as error:
        raise ConfigError(
            "rtdecode adapt lsl: pylsl cannot load liblsl; install it from "
            f"https://github.com/sccn/liblsl/releases ({str(error).splitlines()[0]})"
        ) from error
    return pylsl
