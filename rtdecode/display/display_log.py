"""The record of what a participant was shown: a line of JSON each, in the session's folder."""

import base64
import errno
import math
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rtdecode.errors import ConfigError
from rtdecode.feedback import Arm, Assigned, Frame, Key

DISPLAYED = "displayed.jsonl"
_PAD_BYTES = 256
"""What is sealed has a length of so many bytes, or twice that ...: it tells nothing."""
_NONCE_BYTES = 12


class Hidden(msgspec.Struct, frozen=True):
    """What would tell real from sham feedback, beside the session's decisions."""

    arm: Arm
    level: float | None = None
    """0 to 1, of thermometer and disc."""
    label: str = ""
    """The class, of text and image."""


class DisplayLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was shown; the same fields in every arm."""

    run: int
    sequence: int
    """Of the outcome behind it; 0 where there is none."""
    show: str
    trial_type: str
    """Of the block; empty between blocks."""
    stale: bool
    run_s: float | None
    """Time of the run at which it was sent to the page."""
    sent_unix_s: float
    painted_unix_s: float | None
    """When the page had painted it, by the page's clock; none where no page was open."""
    shown: Hidden | None = None
    """Where nobody is blinded."""
    sealed: str = ""
    """The same as a secret."""


def line_of(frame: Frame, run_s: float, painted_unix_s: float | None = None) -> DisplayLine:
    """Return what is recorded of a frame, now, at a time of the run."""
    return DisplayLine(
        run=frame.run,
        sequence=frame.sequence,
        show=frame.show,
        trial_type="" if frame.block is None else frame.block.trial_type,
        stale=frame.stale,
        run_s=run_s if math.isfinite(run_s) else None,
        sent_unix_s=time.time(),
        painted_unix_s=painted_unix_s,
    )


class Displayed:
    """Adds to the record; each line is on the disk before the next is begun.

    Parameters
    ----------
    session
        The session's folder.
    assigned
        Seals the lines; `None`: they are open, and all feedback is real.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """

    def __init__(self, session: Path, assigned: Assigned | None) -> None:
        self._assigned = assigned
        path = session / DISPLAYED
        try:
            # Without a buffer, so that what could not be written is not tried again.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
        self._torn = self._file.tell() > 0
        """Whether a line may have been cut off: an empty one after it does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: DisplayLine, frame: Frame) -> None:
        """Add the line of a frame.

        Raises
        ------
        OSError
            The disk is full, or gone.
        """
        if self._assigned is None:
            line = msgspec.structs.replace(line, shown=Hidden("real", frame.level, frame.label))
        else:
            hidden = Hidden(self._assigned.arm, frame.level, frame.label)
            line = msgspec.structs.replace(line, sealed=_seal(self._assigned.secret, hidden))
        content = b"\n" * self._torn + msgspec.json.encode(line) + b"\n"
        self._torn = True
        if self._file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())
        self._torn = False


def read_displayed(session: Path, key: Key | None = None) -> Iterator[DisplayLine]:
    """Read a session's record, without the lines that a crash or a full disk has cut off.

    Parameters
    ----------
    session
        The session's folder.
    key
        Unseals it.

    Raises
    ------
    ConfigError
        There is no record, it is damaged, or the key is not its own.
    """
    path = session / DISPLAYED
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    for number, content in enumerate(lines, start=1):
        try:
            line = msgspec.json.decode(content, type=DisplayLine)
            if key is not None and line.sealed:
                hidden = _unseal(bytes.fromhex(key.secret), line.sealed)
                line = msgspec.structs.replace(line, shown=hidden, sealed="")
        except (msgspec.ValidationError, InvalidTag) as error:
            raise ConfigError(
                f"{path}, line {number}: it is damaged, or sealed with another key"
            ) from error
        except msgspec.DecodeError:
            continue
        yield line


def _seal(secret: bytes, hidden: Hidden) -> str:
    content = msgspec.json.encode(hidden)
    content = content.ljust(-(-len(content) // _PAD_BYTES) * _PAD_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(secret).encrypt(nonce, content, None)).decode()


def _unseal(secret: bytes, sealed: str) -> Hidden:
    content = base64.b64decode(sealed)
    nonce, body = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
    return msgspec.json.decode(AESGCM(secret).decrypt(nonce, body, None), type=Hidden)
