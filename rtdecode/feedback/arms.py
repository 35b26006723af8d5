"""The assignment of participants to real and sham feedback, separate from its key."""

import csv
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

import msgspec
import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.feedback.feedback_settings import Blinding
from rtdecode.feedback.sham import ARMS, Arm

_COLUMNS = ("participant", "arm")
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """The meaning of the arm codes, for unblinding and for the display."""

    arms: dict[str, Arm]
    """The arm of each code."""
    secret: str
    """Encrypts the record and seeds the shuffled arm; 64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm of one participant."""

    arm: Arm
    secret: bytes
    code: str
    """The participant's code in the table."""


def randomise(
    participants: int, arms: Sequence[Arm], block: int, seed: int | None = None
) -> tuple[list[tuple[str, str]], Key]:
    """Assign arms by block randomisation: each block has each arm equally often.

    Parameters
    ----------
    participants
        Number of participants; their codes are 01, 02, ...
    arms
        The arms of the study.
    block
        Participants in a block, a multiple of the number of arms.
    seed
        The same seed gives the same arms. It reveals the arms like the key.

    Returns
    -------
    The table's rows (participant, arm code), and the key.

    Raises
    ------
    ConfigError
        The numbers do not make blocks.
    """
    problems = []
    if participants < 1:
        problems.append(f"{participants} participants: give at least one")
    if len(set(arms)) != len(arms) or not arms or not {*arms} <= {*ARMS}:
        problems.append(f"the arms are {','.join(ARMS)}: give one or more, each once")
    elif block < 1 or block % len(arms):
        problems.append(
            f"a block of {block} cannot be divided among {len(arms)} arms; give a multiple"
        )
    if problems:
        raise ConfigError(problems)
    rng = np.random.default_rng(seed)
    # The letters are also assigned at random; otherwise A would suggest the real arm.
    codes = dict(zip(ascii_uppercase, rng.permutation(np.array(arms)).tolist(), strict=False))
    assigned_codes: list[str] = []
    while len(assigned_codes) < participants:
        assigned_codes += rng.permutation(np.repeat(list(codes), block // len(arms))).tolist()
    width = max(2, len(str(participants)))
    rows = [(f"{n:0{width}}", c) for n, c in enumerate(assigned_codes[:participants], start=1)]
    return rows, Key(codes, secrets.token_hex(_SECRET_BYTES))


def write_assignment(rows: Sequence[tuple[str, str]], key: Key, files: Blinding) -> None:
    """Write the table and the key.

    Raises
    ------
    ConfigError
        A file exists already, or cannot be written.
    """
    existing = [path for path in (files.table, files.key) if path.exists()]
    if existing:
        raise ConfigError(
            [f"{path} exists already; randomise a study only once" for path in existing]
        )
    lines = ["\t".join(row) for row in (_COLUMNS, *rows)]
    try:
        files.key.write_text(json.dumps(msgspec.to_builtins(key), indent=1) + "\n", "utf-8")
        files.table.write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from error


def read_key(path: Path) -> Key:
    """Read the key: the meaning of the arm codes.

    Raises
    ------
    ConfigError
        The file is not a key.
    """
    key = None
    with suppress(OSError, ValueError, msgspec.MsgspecError):
        key = msgspec.json.decode(path.read_bytes(), type=Key)
        key = key if len(bytes.fromhex(key.secret)) == _SECRET_BYTES else None
    if key is None:  # without the cause, which would quote the secret file
        raise ConfigError(f"{path} is not a key of `rtdecode display randomise`, or cannot be read")
    return key


def read_assignment(files: Blinding, code: str) -> Assignment:
    """Look up a participant. Error messages do not reveal the arm.

    Raises
    ------
    ConfigError
        The table or the key cannot be read, they do not belong together, or the participant is
        not in the table.
    """
    key = read_key(files.key)
    try:
        text = files.table.read_text("utf-8-sig")
        rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"{files.table}: cannot be read as a table: {error}") from error
    if not rows or not {*_COLUMNS} <= {*rows[0]}:
        raise ConfigError(
            f"{files.table}: the columns must be {' and '.join(_COLUMNS)}, separated by tabs"
        )
    # Check every row, so that the error does not depend on the arm.
    if any(row["arm"] not in key.arms for row in rows):
        raise ConfigError(f"{files.table} and {files.key} are not of the same study")
    arms = [row["arm"] for row in rows if row["participant"] == code]
    if len(arms) != 1:
        raise ConfigError(
            f"{len(arms)} rows of {files.table} have the given code of the participant; "
            "exactly one row must have it"
        )
    return Assignment(key.arms[arms[0]], bytes.fromhex(key.secret), code)
