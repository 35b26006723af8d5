"""A calibration run is recorded during the acquisition, and can be read from the record."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from calibration.data.acquire import acquire, read_run
from rtdecode.errors import ConfigError, RunError


@pytest.fixture
def start_acquisition(settings):
    """Return a function that starts an acquisition in a thread and waits until it is ready."""
    stops = []
    with ThreadPoolExecutor(1) as pool:

        def begin(count, **changes):
            ready, stop, volumes = threading.Event(), threading.Event(), []
            stops.append(stop)
            running = pool.submit(
                acquire,
                replace(settings, volumes=count, **changes),
                volumes.append,
                lambda _: ready.set(),
                stop=stop,
            )
            running.add_done_callback(lambda _: ready.set())
            assert ready.wait(30)
            return running, volumes, stop

        yield begin
        for stop in stops:
            stop.set()


def test_volumes_are_in_order_and_recorded(start_acquisition, settings, export, scanner) -> None:
    """The volumes during the acquisition equal those in the record."""
    running, volumes, _ = start_acquisition(5)
    for index in (1, 0, 2, 4, 3):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    assert running.result(timeout=60) == settings.session
    again = read_run(settings.session)
    assert [volume.index for volume in volumes] == [0, 1, 2, 3, 4]
    assert [volume.index for volume in again] == [0, 1, 2, 3, 4]
    for one, other in zip(volumes, again, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        np.testing.assert_array_equal(one.affine, other.affine)


def test_an_interrupted_run_continues(start_acquisition, export, scanner) -> None:
    """After a stop, the message gives the command that continues, and it continues."""
    running, volumes, stop = start_acquisition(4)
    for index in (0, 1):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    while len(volumes) < 2:
        assert not running.done()
    stop.set()
    with pytest.raises(RunError, match="repeat the same command to continue"):
        running.result(timeout=60)

    running, again, _ = start_acquisition(4)
    for index in (2, 3):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    running.result(timeout=60)

    assert [volume.index for volume in again] == [0, 1, 2, 3]


def test_a_missing_volume_is_a_gap_in_the_run(start_acquisition, settings, export, scanner) -> None:
    """The others keep their numbers, live and from the record."""
    running, volumes, _ = start_acquisition(4)
    for index in (0, 1, 3):
        export(f"{index:03d}.dcm", scanner.mosaic(index))
    running.result(timeout=60)
    assert [volume.index for volume in volumes] == [0, 1, 3]
    assert [volume.index for volume in read_run(settings.session)] == [0, 1, 3]


def test_a_path_without_a_run_is_named_in_the_error(tmp_path) -> None:
    """The path does not exist, or the folder has no images."""
    with pytest.raises(ConfigError, match=r"--run .*nowhere: does not exist"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="there are no MR images here"):
        read_run(tmp_path)
