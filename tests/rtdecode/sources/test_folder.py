"""The watched folder."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.sources import Arrival, FolderSource


def whole(content: bytes, name: str) -> None:
    """Take what ends in a full stop as whole."""
    if not content.endswith(b"."):
        raise VolumeError(f"{name} is cut")


def collect(
    folder: Path, count: int, then: Callable[[int], None] = lambda _: None, **how: Any
) -> list[Arrival]:
    """Return the first `count` arrivals; `then` gets their number after each batch."""
    arrived: list[Arrival] = []
    stop = threading.Event()
    guard = threading.Timer(30, stop.set)
    guard.start()
    with FolderSource(folder, SystemClock(), complete=whole, **how) as source:
        for batch in source.batches(stop):
            arrived += batch
            source.acknowledge(["journalled"] * len(batch))
            if len(arrived) >= count:
                stop.set()
            then(len(arrived))
    guard.cancel()
    guard.join()
    return arrived


def test_thousands_of_files_come_in_order_of_modification_then_name(tmp_path: Path):
    """What is there already comes first, `slice_10` after `slice_9`."""
    for number in range(2500):
        path = tmp_path / f"slice_{number}"
        path.write_bytes(f"{number}.".encode())
        os.utime(path, ns=(0, 10**18 if number else 2 * 10**18))
    arrived = collect(tmp_path, 2500)
    assert [a.name for a in arrived] == [f"slice_{n}" for n in (*range(1, 2500), 0)]


@pytest.mark.parametrize("force_polling", [False, True])
def test_a_relative_folder_is_watched_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force_polling: bool
):
    """A file that comes while watching is seen where the folder was given as a relative path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_bytes(b"one.")

    def add(arrived: int) -> None:
        if arrived == 1:
            (tmp_path / "in" / "two").write_bytes(b"two.")

    arrived = collect(Path("in"), 2, add, force_polling=force_polling)

    assert [a.name for a in arrived] == ["one", "two"]


@pytest.mark.parametrize("force_polling", [False, True])
def test_new_renamed_and_nested_files_are_seen(tmp_path: Path, force_polling: bool):
    """With events and by polling, in folders that are made later too."""

    def add(arrived: int) -> None:
        if arrived == 1:
            (tmp_path / "part.tmp").write_bytes(b"two.")
            (tmp_path / "part.tmp").rename(tmp_path / "two")
        elif arrived == 2:
            (tmp_path / "new" / "deeper").mkdir(parents=True)
            (tmp_path / "new" / "deeper" / "three").write_bytes(b"three.")

    (tmp_path / "one").write_bytes(b"one.")
    arrived = collect(tmp_path, 3, add, force_polling=force_polling)
    assert [(a.name, a.content) for a in arrived] == [
        ("one", b"one."),
        ("two", b"two."),
        ("new/deeper/three", b"three."),
    ]


@pytest.mark.parametrize("force_polling", [False, True])
def test_thousands_of_slices_in_a_folder_a_series_come_while_it_watches(
    tmp_path: Path, force_polling: bool
):
    """Each once, though every series gives its files the same names."""

    def scan(arrived: int) -> None:
        if arrived == 1:
            for number in range(600):
                for series in ("series 5", "series 6", "series 6/phase"):
                    (tmp_path / series).mkdir(exist_ok=True)
                    (tmp_path / series / f"{number:04d}").write_bytes(
                        f"{series} {number}.".encode()
                    )

    (tmp_path / "first").write_bytes(b"x.")
    arrived = collect(tmp_path, 1801, scan, force_polling=force_polling)

    assert len({a.name for a in arrived}) == len(arrived) == 1801
    for series in ("series 5", "series 6"):
        numbers = [int(a.name[-4:]) for a in arrived if a.name.startswith(f"{series}/0")]
        assert sorted(numbers) == list(range(600))


@pytest.mark.parametrize("force_polling", [False, True])
def test_a_whole_folder_is_renamed_into_place(tmp_path: Path, force_polling: bool):
    """While it has its hidden name nothing in it is touched, whatever the system tells."""

    def add(arrived: int) -> None:
        if arrived == 1:
            (tmp_path / ".incoming").mkdir()
            for number in range(3):
                (tmp_path / ".incoming" / str(number)).write_bytes(b"x.")
            (tmp_path / "two").write_bytes(b"two.")
        elif arrived == 2:
            (tmp_path / ".incoming").rename(tmp_path / "series")

    (tmp_path / "one").write_bytes(b"one.")
    arrived = collect(tmp_path, 5, add, force_polling=force_polling)
    assert [a.name for a in arrived] == ["one", "two", "series/0", "series/1", "series/2"]


def test_a_file_that_is_replaced_is_handed_over_again(tmp_path: Path):
    """By renaming another over it, as a scanner does that exports a series twice."""

    def replace(arrived: int) -> None:
        if arrived == 1:
            (tmp_path / "new.part").write_bytes(b"another.")
            (tmp_path / "new.part").replace(tmp_path / "one")

    (tmp_path / "one").write_bytes(b"one.")
    arrived = collect(tmp_path, 2, replace)
    assert [(a.name, a.content) for a in arrived] == [("one", b"one."), ("one", b"another.")]


def test_names_of_unfinished_files_are_left_alone(tmp_path: Path):
    """Hidden and temporary names are other programs' business."""
    for name in (".hidden", "a.part", "b.PARTIAL", "c.tmp"):
        (tmp_path / name).write_bytes(b"x.")
    (tmp_path / "real").write_bytes(b"x.")
    assert [a.name for a in collect(tmp_path, 1)] == ["real"]


@pytest.mark.parametrize("force_polling", [False, True])
def test_a_growing_file_is_handed_over_once_and_whole(tmp_path: Path, force_polling: bool):
    """However many pieces it is written in, and other files do not wait for it."""
    slow = tmp_path / "slow"
    slow.write_bytes(b"a")

    def grow(arrived: int) -> None:
        if arrived == 1:
            for piece in (b"b", b"c", b"d."):
                with slow.open("ab") as file:
                    file.write(piece)

    (tmp_path / "fast").write_bytes(b"fast.")
    arrived = collect(tmp_path, 2, grow, patience_s=60.0, force_polling=force_polling)
    assert [(a.name, a.content) for a in arrived] == [("fast", b"fast."), ("slow", b"abcd.")]


def test_a_broken_file_is_handed_over_after_its_time_and_again_when_mended(tmp_path: Path):
    """So that its loss is reported, and undone where the writer comes back."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"half")
    arrived = collect(
        tmp_path,
        2,
        lambda n: broken.write_bytes(b"half and half.") if n == 1 else None,
        patience_s=0.05,
    )
    assert [a.content for a in arrived] == [b"half", b"half and half."]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody move a watched folder")
@pytest.mark.parametrize("force_polling", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_goes_away_is_waited_for(
    tmp_path: Path, force_polling: bool, replaced: bool, caplog: pytest.LogCaptureFixture
):
    """As a share that is unmounted and mounted again; its files come once, new ones as before."""
    folder, away = tmp_path / "in", tmp_path / "away"
    folder.mkdir()

    def change(arrived: int) -> None:
        if arrived == 1:
            folder.rename(away)
            if replaced:
                folder.mkdir()
                (folder / "two").write_bytes(b"two.")
            else:
                threading.Thread(target=put_back).start()
        elif arrived == 2:
            (folder / "three").write_bytes(b"three.")

    def put_back() -> None:
        while "disappeared" not in caplog.text:
            pass
        away.rename(folder)
        (folder / "two").write_bytes(b"two.")

    (folder / "one").write_bytes(b"one.")
    arrived = collect(folder, 3, change, force_polling=force_polling)

    assert [a.name for a in arrived] == ["one", "two", "three"]
    reported = "another folder" if replaced else "there again"
    assert reported in caplog.text


def test_it_is_behind_until_the_listing_is_through(tmp_path: Path):
    """No deadline is judged while files that were there already are being read."""
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"x.")
    stop = threading.Event()
    with FolderSource(tmp_path, SystemClock(), complete=whole) as source:
        batches = source.batches(stop)
        assert source.behind
        for _ in range(3):
            next(batches)
            assert source.behind
        stop.set()
        list(batches)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    """The message says what to give."""
    source = FolderSource(tmp_path / "nowhere", SystemClock())
    with pytest.raises(ConfigError, match="does not exist"):
        source.__enter__()
