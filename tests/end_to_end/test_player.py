"""A recorded series is played as a scanner exports it."""

from pathlib import Path

import pytest

from rtdecode.errors import ConfigError, RunError
from rtdecode.player import FolderSink, IngestSink, play, schedule


class JumpingClock:
    """A clock that jumps to each due time and records it."""

    def __init__(self) -> None:
        self.now_ns = 1_000
        self.waits_s: list[float] = []

    def monotonic_ns(self) -> int:
        """Return the last due time."""
        return self.now_ns

    def sleep_until(self, monotonic_ns: int) -> None:
        """Jump to a due time."""
        self.now_ns = max(self.now_ns, monotonic_ns)
        self.waits_s.append((self.now_ns - 1_000) / 1e9)


@pytest.fixture
def recording(tmp_path: Path, scanner) -> Path:
    """Return slices of three volumes under meaningless names, and one copy."""
    folder = tmp_path / "recording"
    folder.mkdir()
    slices = [(v, at) for v in range(3) for at in range(4)]
    for number, (volume, at) in enumerate(reversed(slices)):
        (folder / f"{number:02d}").write_bytes(scanner.slice(volume, at))
    (folder / "copy").write_bytes(scanner.slice(1, 2))
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_files_are_scheduled_in_the_scanners_order_and_speed(recording):
    """Volumes are in order, and slices (with copies) are spread over the repetition time."""
    files = schedule([recording])
    assert [f.volume for f in files] == [0] * 4 + [1] * 5 + [2] * 4
    assert [files[3].due_s, files[-1].due_s] == pytest.approx([1.5, 4.5])
    assert [f.due_s for f in files[:4]] == [0.375, 0.75, 1.125, 1.5]


@pytest.mark.parametrize(("speed", "end_s"), [(1, 4.5), (10, 0.45)])
def test_playing_has_no_drift(recording, tmp_path, speed, end_s):
    """Due times count from the start, so earlier delays do not add up."""
    clock = JumpingClock()
    report = play([recording], str(tmp_path / "export"), speed, clock)
    assert clock.waits_s == sorted(clock.waits_s)
    assert clock.waits_s[-1] == pytest.approx(end_s)
    assert (report.objects, report.volumes) == (13, 3)
    assert len(list((tmp_path / "export").iterdir())) == 13


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    """It is first written under a hidden name, also in a subfolder."""
    with FolderSink(tmp_path / "out") as sink:
        sink.put("series/a.dcm", b"content")
        sink.flush()
    assert [p.name for p in (tmp_path / "out" / "series").iterdir()] == ["a.dcm"]


@pytest.mark.parametrize("way", ["folder", "socket"])
def test_a_played_series_is_decoded(start, tmp_path, recording, way):
    """Outcomes are the same through a folder and a socket."""
    service = start(
        source="zmq:" if way == "socket" else f"folder:{tmp_path / 'export'}", volumes=3
    )
    to = service.endpoints.ingest if way == "socket" else str(tmp_path / "export")
    with service.outcomes() as outcomes:
        play([recording], to, "max")
        assert [o.index for o in outcomes] == [0, 1, 2]
    assert service.finish().objects == 12


def test_invalid_arguments_are_refused(tmp_path, recording):
    """Each error gives the remedy."""
    with pytest.raises(ConfigError, match="does not exist"):
        play([tmp_path / "nowhere"], str(tmp_path / "export"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no MR images"):
        play([tmp_path / "empty"], str(tmp_path / "export"))
    with pytest.raises(ConfigError, match="positive number"):
        play([recording], str(tmp_path / "export"), -1)


def test_sending_without_a_service_is_an_error_with_advice(monkeypatch):
    """The error counts the objects that are not acknowledged."""
    monkeypatch.setattr("rtdecode.player.sinks.SILENCE_S", 0.05)
    with IngestSink("tcp://127.0.0.1:9") as sink:
        sink.put("a", b"content")
        with pytest.raises(RunError, match="1 object not acknowledged"):
            sink.flush()
