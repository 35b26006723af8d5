"""Write simulated runs as the DICOM files of one vendor's scanner."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydicom.dataset import FileDataset

from calibration.simulation.simulated_run import SimulatedRun
from calibration.simulation.write_mosaic import mosaics
from calibration.simulation.write_multiframe import enhanced
from calibration.simulation.write_single_frame import ge_slices, philips_slices
from rtdecode.errors import ConfigError

Vendor = Literal["siemens", "siemens-xa", "ge", "philips"]

_OBJECTS: dict[Vendor, Callable[[SimulatedRun], Iterator[tuple[str, FileDataset]]]] = {
    "siemens": mosaics,
    "siemens-xa": enhanced,
    "ge": ge_slices,
    "philips": philips_slices,
}


def write_dicom(
    run: SimulatedRun,
    folder: Path,
    vendor: Vendor = "siemens",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write a run as a scanner would export it.

    Parameters
    ----------
    run
        From `simulate_run`.
    folder
        It is created if it is missing. It must hold no ``.dcm`` file, so that runs never mix.
    vendor
        ``siemens``: a mosaic for each volume; ``siemens-xa``: an enhanced multi-frame object for
        each volume; ``ge`` and ``philips``: a classic object for each slice.
    progress
        Called after each volume with the number of written volumes and their total.

    Returns
    -------
    The files in the order of acquisition.

    Raises
    ------
    ConfigError
        `folder` already holds DICOM files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.dcm")):
        raise ConfigError(f"{folder} already holds .dcm files; name an empty folder for this run")
    slices = run.design.protocol.matrix[2]
    files_per_volume = slices if vendor in {"ge", "philips"} else 1
    paths: list[Path] = []
    for name, dataset in _OBJECTS[vendor](run):
        path = folder / name
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
        if progress is not None and len(paths) % files_per_volume == 0:
            progress(len(paths) // files_per_volume, len(run))
    return paths
