"""Whether a folder can be read, and whether the system reports new files in it."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rtdecode.errors import ConfigError

MOUNTS = Path("/proc/self/mounts")
LOCAL = frozenset(
    [
        "apfs",
        "bcachefs",
        "btrfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "fuseblk",
        "jfs",
        "msdos",
        "ntfs",
        "ntfs3",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "ubifs",
        "vfat",
        "xfs",
        "zfs",
    ]
)
"""Filesystems on which only this machine creates files, so that the system can report them."""
_LOCAL_DRIVES = {2: "removable drive", 3: "local disk", 6: "memory disk"}


@dataclass(frozen=True, slots=True)
class Filesystem:
    """The filesystem of a folder."""

    kind: str
    """Its name in the system: `ext4`, `cifs`, `network share`."""
    local: bool
    """Whether the system reports new files there; `False` for an unknown filesystem."""


def filesystem_of(folder: Path) -> Filesystem:
    """Return the filesystem of an absolute path with symbolic links resolved.

    Files that another computer writes into a network share cause no events on this one. Therefore
    every filesystem that is not known to be local counts as a network share.
    """
    if sys.platform == "win32":
        return _of_drive(folder.drive)
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return Filesystem("unknown filesystem", local=False)
    kind = mounted_kind(folder, mounts)
    return Filesystem(kind, kind in LOCAL)


def mounted_kind(folder: Path, mounts: str) -> str:
    """Return the filesystem type of the mount that `folder` lies in.

    Parameters
    ----------
    folder
        An absolute path.
    mounts
        Lines of `device mount-point type ...`, as in `/proc/self/mounts`.
    """
    kind, depth = "unknown filesystem", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
        # Of several mounts at one point the last one is on top.
        if len(point.parts) >= depth and folder.is_relative_to(point):
            kind, depth = fields[2], len(point.parts)
    return kind


def _of_drive(drive: str) -> Filesystem:
    """Return the filesystem of a Windows drive or of a named share."""
    if sys.platform == "win32" and not drive.startswith("\\\\"):
        import ctypes

        number = ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\")
        if number in _LOCAL_DRIVES:
            return Filesystem(_LOCAL_DRIVES[number], local=True)
    return Filesystem("network share", local=False)


def check_folder(path: Path) -> None:
    """Refuse a folder that does not exist or cannot be listed.

    Raises
    ------
    ConfigError
        The message gives its resolved path.
    """
    path = path.resolve()
    if not path.is_dir():
        raise ConfigError(
            f"source folder {path} does not exist; create it, or give the folder that the scanner "
            "exports to"
        )
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"source folder {path} cannot be read; check its permissions")
