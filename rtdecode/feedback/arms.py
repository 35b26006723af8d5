"""Who has real and who has sham feedback: drawn once, kept apart from what the codes mean."""

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
    """What the arm codes mean; for whoever unblinds, and for the display."""

    arms: dict[str, Arm]
    """By code."""
    secret: str
    """Seals the record and seeds what is shuffled; 64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a participant gets."""

    arm: Arm
    secret: bytes
    code: str
    """The participant's, of the table."""


def randomise(
    participants: int, arms: Sequence[Arm], block: int, seed: int | None = None
) -> tuple[list[tuple[str, str]], Key]:
    """Draw who has which arm: block randomisation, each arm equally often in every block.

    Parameters
    ----------
    participants
        How many; their codes are 01, 02, ...
    arms
        Those of the study.
    block
        So many participants a block, a multiple of the arms.
    seed
        The same draws the same arms. Whoever knows it knows who has what.

    Returns
    -------
    The table's rows (participant, arm code), and the key.

    Raises
    ------
    ConfigError
        Numbers that do not make blocks.
    """
    problems = []
    if participants < 1:
        problems.append(f"{participants} participants: there is at least one")
    if len(set(arms)) != len(arms) or not arms or not {*arms} <= {*ARMS}:
        problems.append(f"the arms are {','.join(ARMS)}: name one or more, each once")
    elif block < 1 or block % len(arms):
        problems.append(
            f"a block of {block} cannot be shared by {len(arms)} arms; it is a multiple of that"
        )
    if problems:
        raise ConfigError(problems)
    rng = np.random.default_rng(seed)
    # Which letter is which arm is drawn, too: A would be guessed to be real.
    codes = dict(zip(ascii_uppercase, rng.permutation(np.array(arms)).tolist(), strict=False))
    drawn: list[str] = []
    while len(drawn) < participants:
        drawn += rng.permutation(np.repeat(list(codes), block // len(arms))).tolist()
    width = max(2, len(str(participants)))
    rows = [(f"{n:0{width}}", arm) for n, arm in enumerate(drawn[:participants], start=1)]
    return rows, Key(codes, secrets.token_hex(_SECRET_BYTES))


def write_assignment(rows: Sequence[tuple[str, str]], key: Key, files: Blinding) -> None:
    """Write table and key.

    Raises
    ------
    ConfigError
        One of them is there already, or cannot be written.
    """
    there = [path for path in (files.table, files.key) if path.exists()]
    if there:
        raise ConfigError([f"{path} is there already; a study is drawn once" for path in there])
    lines = ["\t".join(row) for row in (_COLUMNS, *rows)]
    try:
        files.key.write_text(json.dumps(msgspec.to_builtins(key), indent=1) + "\n", "utf-8")
        files.table.write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from error


def read_key(path: Path) -> Key:
    """Read what the arm codes mean.

    Raises
    ------
    ConfigError
        It is no key.
    """
    key = None
    with suppress(OSError, ValueError, msgspec.MsgspecError):
        key = msgspec.json.decode(path.read_bytes(), type=Key)
        key = key if len(bytes.fromhex(key.secret)) == _SECRET_BYTES else None
    if key is None:  # without the cause, which would quote the file
        raise ConfigError(f"{path} is no key of `rtdecode display randomise`, or cannot be read")
    return key


def assigned(files: Blinding, code: str) -> Assigned:
    """Look up a participant; what goes wrong is told without the arm.

    Raises
    ------
    ConfigError
        Table or key cannot be read or do not belong together, or the participant is not in it.
    """
    key = read_key(files.key)
    try:
        text = files.table.read_text("utf-8-sig")
        rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"{files.table}: cannot be read as a table: {error}") from error
    if not rows or not {*_COLUMNS} <= {*rows[0]}:
        raise ConfigError(f"{files.table}: the columns are {' and '.join(_COLUMNS)}, by tabs")
    # Every row, so that no arm has an error of its own.
    if any(row["arm"] not in key.arms for row in rows):
        raise ConfigError(f"{files.table} and {files.key} are not of one study")
    found = [row["arm"] for row in rows if row["participant"] == code]
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} rows of {files.table} are of the participant's code that was given; "
            "it has to be exactly one"
        )
    return Assigned(key.arms[found[0]], bytes.fromhex(key.secret), code)
