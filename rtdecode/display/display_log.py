"""The record of what a participant saw: one line of JSON per frame, in the session's folder."""

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
from rtdecode.feedback import Arm, Assignment, Frame, Key

DISPLAYED = "displayed.jsonl"
_PAD_BYTES = 256
"""The length of an encrypted text is a multiple of this, so that it reveals nothing."""
_NONCE_BYTES = 12


class Hidden(msgspec.Struct, frozen=True):
    """The values that would distinguish real from sham feedback, given the decisions."""

    arm: Arm
    level: float | None = None
    """Level of the thermometer or disc, 0 to 1."""
    label: str = ""
    """Class of the text or image."""


class DisplayLine(msgspec.Struct, frozen=True, kw_only=True):
    """One frame that was shown; the fields are the same in every arm."""

    run: int
    sequence: int
    """Sequence number of the shown outcome; 0 for none."""
    show: str
    trial_type: str
    """Trial type of the block; empty between blocks."""
    stale: bool
    run_s: float | None
    """Time of the run at which the frame was sent to the page, seconds."""
    sent_unix_s: float
    painted_unix_s: float | None
    """Time at which the page painted the frame, by the page's clock; `None` if no page did."""
    shown: Hidden | None = None
    """The values in plain text, in a study without blinding."""
    sealed: str = ""
    """The values encrypted, in a study with blinding."""


def line_of(frame: Frame, run_s: float, painted_unix_s: float | None = None) -> DisplayLine:
    """Return the record of a frame that is sent now, at a time of the run."""
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


class DisplayLog:
    """Appends to the record; each line is on the disk before the next one is written.

    Parameters
    ----------
    session
        The session's folder.
    assignment
        Encrypts the lines; `None`: the lines are plain text, and all feedback is real.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """

    def __init__(self, session: Path, assignment: Assignment | None) -> None:
        self._assignment = assignment
        path = session / DISPLAYED
        try:
            # Without a buffer, so that a failed line is not written again later.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
        self._torn = self._file.tell() > 0
        """Whether the last line may be incomplete; an extra newline then ends it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: DisplayLine, frame: Frame) -> None:
        """Append the line of a frame.

        Raises
        ------
        OSError
            The disk is full or not available.
        """
        if self._assignment is None:
            line = msgspec.structs.replace(line, shown=Hidden("real", frame.level, frame.label))
        else:
            hidden = Hidden(self._assignment.arm, frame.level, frame.label)
            line = msgspec.structs.replace(line, sealed=_encrypt(self._assignment.secret, hidden))
        content = b"\n" * self._torn + msgspec.json.encode(line) + b"\n"
        self._torn = True
        if self._file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())
        self._torn = False


def read_displayed(session: Path, key: Key | None = None) -> Iterator[DisplayLine]:
    """Read a session's record, without lines that are incomplete after a crash or a full disk.

    Parameters
    ----------
    session
        The session's folder.
    key
        Decrypts the lines.

    Raises
    ------
    ConfigError
        The record does not exist or is damaged, or the key is of another study.
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
                hidden = _decrypt(bytes.fromhex(key.secret), line.sealed)
                line = msgspec.structs.replace(line, shown=hidden, sealed="")
        except (msgspec.ValidationError, InvalidTag) as error:
            raise ConfigError(
                f"{path}, line {number}: the line is damaged, or encrypted with another key"
            ) from error
        except msgspec.DecodeError:
            continue
        yield line


def _encrypt(secret: bytes, hidden: Hidden) -> str:
    content = msgspec.json.encode(hidden)
    content = content.ljust(-(-len(content) // _PAD_BYTES) * _PAD_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(secret).encrypt(nonce, content, None)).decode()


def _decrypt(secret: bytes, sealed: str) -> Hidden:
    content = base64.b64decode(sealed)
    nonce, body = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
    return msgspec.json.decode(AESGCM(secret).decrypt(nonce, body, None), type=Hidden)
