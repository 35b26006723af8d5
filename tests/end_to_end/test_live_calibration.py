"""A calibration run is taken in as it is acquired, and can be taken again from the record."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from calibration.data.acquire import acquire, read_run
from rtdecode.errors import ConfigError, RunError


@pytest.fixture
def taking(settings):
    """Return a function that begins to acquire, in a thread, and waits until it is ready."""
    stops = []
    with ThreadPoolExecutor(1) as pool:

        def begin(volumes, **changes):
            ready, stop, came = threading.Event(), threading.Event(), []
            stops.append(stop)
            running = pool.submit(
                acquire,
                replace(settings, volumes=volumes, **changes),
                came.append,
                lambda _: ready.set(),
                stop=stop,
            )
            running.add_done_callback(lambda _: ready.set())
            assert ready.wait(30)
            return running, came, stop

        yield begin
        for stop in stops:
            stop.set()


def test_volumes_come_in_their_order_and_are_recorded(taking, settings, export, scanner) -> None:
    """What was handed on is what the record holds."""
    running, came, _ = taking(5)
    for index in (1, 0, 2, 4, 3):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    assert running.result(timeout=60) == settings.session
    again = read_run(settings.session)
    assert [volume.index for volume in came] == [0, 1, 2, 3, 4]
    assert [volume.index for volume in again] == [0, 1, 2, 3, 4]
    for one, other in zip(came, again, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        np.testing.assert_array_equal(one.affine, other.affine)


def test_a_run_that_was_cut_short_is_gone_on_with(taking, export, scanner) -> None:
    """Stopped in the middle, the message says how to go on; the same command does so."""
    running, came, stop = taking(4)
    for index in (0, 1):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    while len(came) < 2:
        assert not running.done()
    stop.set()
    with pytest.raises(RunError, match="repeat the same command to continue"):
        running.result(timeout=60)

    running, again, _ = taking(4)
    for index in (2, 3):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    running.result(timeout=60)

    assert [volume.index for volume in again] == [0, 1, 2, 3]


def test_a_volume_that_never_came_is_a_gap_in_the_run(taking, settings, export, scanner) -> None:
    """The others keep their numbers, live and from the record."""
    running, came, _ = taking(4)
    for index in (0, 1, 3):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    running.result(timeout=60)
    assert [volume.index for volume in came] == [0, 1, 3]
    assert [volume.index for volume in read_run(settings.session)] == [0, 1, 3]


def test_what_is_no_run_is_named(tmp_path) -> None:
    """A path that does not exist, and a folder without images."""
    with pytest.raises(ConfigError, match=r"--run .*nowhere: does not exist"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="there are no MR images here"):
        read_run(tmp_path)
