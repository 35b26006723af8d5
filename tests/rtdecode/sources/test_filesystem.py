"""Which filesystems tell of new files."""

import logging
from pathlib import Path
from threading import Event

import pytest

from rtdecode.clock import SystemClock
from rtdecode.sources import FolderSource
from rtdecode.sources.filesystem import Filesystem, _of_drive, filesystem_of, mounted_kind

MOUNTS = r"""/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
//mr-console/export /mnt/mr cifs rw,vers=3.0 0 0
/dev/sdb1 /mnt/mr/local xfs rw 0 0
//mr-console/two\040words /mnt/two\040words smb3 rw 0 0
nas:/data /data nfs4 rw 0 0
host /media/host fuse.sshfs rw 0 0
systemd-1 /auto autofs rw 0 0
nas:/auto /auto nfs rw 0 0
torn line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/mr", "cifs"),
        ("/mnt/mr/series", "cifs"),
        ("/mnt/mr/local/series", "xfs"),
        ("/mnt/mronline", "ext4"),
        ("/mnt/two words/series", "smb3"),
        ("/data/x", "nfs4"),
        ("/media/host", "fuse.sshfs"),
        ("/auto/session", "nfs"),
    ],
)
def test_a_folder_has_the_type_of_the_deepest_mount_around_it(folder: str, kind: str):
    """Also with spaces in names, and with one mount on top of another."""
    assert mounted_kind(Path(folder), MOUNTS) == kind


def test_without_mounts_nothing_is_claimed():
    """An unknown filesystem is not taken for a local one."""
    assert mounted_kind(Path("/x"), "") == "unknown filesystem"


def test_a_windows_share_is_no_local_disk():
    """By its name alone."""
    assert _of_drive(r"\\mr-console\export") == Filesystem("network share", local=False)


@pytest.mark.parametrize(
    ("kind", "reported"),
    [("ext4", "watched by events (ext4)"), ("cifs", "polled"), ("9p", "polled")],
)
def test_the_way_is_chosen_by_the_filesystem_and_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    reported: str,
):
    """Files that come while watching are seen either way."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"x {tmp_path / 'in'} {kind} rw 0 0\n")
    monkeypatch.setattr("rtdecode.sources.filesystem.MOUNTS", mounts)
    caplog.set_level(logging.INFO, "rtdecode")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_bytes(b"one")
    arrived: list[str] = []
    stop = Event()
    with FolderSource(tmp_path / "in", SystemClock(), complete=lambda *_: None) as source:
        for batch in source.batches(stop):
            arrived += [arrival.name for arrival in batch]
            if len(arrived) == 1:
                (tmp_path / "in" / "two").write_bytes(b"two")
            else:
                stop.set()
    assert arrived == ["one", "two"]
    assert reported in caplog.text


@pytest.mark.skipif(not Path("/proc/self/mounts").is_file(), reason="only Linux lists its mounts")
def test_this_machine_knows_its_own_filesystem():
    """What is certainly no disk is found in the real list of mounts."""
    assert filesystem_of(Path("/proc/self")) == Filesystem("proc", local=False)
