"""Fetch published weights from their authors, resuming an interrupted download."""

import hashlib
import http.client
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from calibration.weights.published import Published, registered
from calibration.weights.store import cache_folder, check_digest, import_weights
from rtdecode.errors import ConfigError

TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 16


def fetch(name: str, folder: Path | None = None) -> Path:
    """Download published weights from their authors and store them as safetensors in the cache.

    Says on standard error what licence they carry and how far the download is. Weights that are
    there already are not downloaded again.

    Parameters
    ----------
    name
        A name of the register, such as `deeplight-2d`.
    folder
        Where to keep them; this user's cache unless given.

    Returns
    -------
    Path
        The safetensors file.

    Raises
    ------
    ConfigError
        There is no such name, no connection, or the server sent another file.
    """
    return obtain(registered(name), folder or cache_folder())


def obtain(entry: Published, folder: Path) -> Path:
    """Fetch the weights of any entry, registered or not."""
    console = Console(stderr=True)
    console.print(entry.licence, highlight=False)
    target = folder / f"{entry.name}.safetensors"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console) as progress:
        task = progress.add_task(entry.name, total=entry.size_bytes)
        part = download(entry, folder, lambda done: progress.update(task, completed=done))
    import_weights(part, folder, entry)
    part.unlink()
    return target


def download(entry: Published, folder: Path, report: Callable[[int], None]) -> Path:
    """Bring `entry`'s file into `folder` as `NAME.part`, whole and with the right digest.

    Parameters
    ----------
    entry
        What to download.
    folder
        Where to; a `.part` of an earlier attempt there is continued.
    report
        Called with the number of bytes that are there.

    Raises
    ------
    ConfigError
        The connection failed (what came is kept), or the file is another (it is removed).
    """
    part = folder / f"{entry.name}.part"
    there = part.stat().st_size if part.exists() else 0
    if there < entry.size_bytes:
        try:
            _receive(entry, part, there, report)
        except (URLError, http.client.HTTPException, OSError) as error:
            raise ConfigError(_by_hand(entry, str(error))) from error
        if part.stat().st_size < entry.size_bytes:
            raise ConfigError(_by_hand(entry, "the connection ended early"))
    found = hashlib.sha256(part.read_bytes()).hexdigest()
    if found != entry.sha256:
        part.unlink()
    check_digest(found, entry, f"what {entry.url} sent")
    return part


def _receive(entry: Published, part: Path, there: int, report: Callable[[int], None]) -> None:
    headers = {"User-Agent": "rtdecode"}
    if there:
        headers["Range"] = f"bytes={there}-"
    # S310: the address is the register's own.
    request = Request(entry.url, headers=headers)  # noqa: S310
    with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        resumes = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = there if resumes else 0
        with part.open("ab" if resumes else "wb") as file:
            # A server may send without end; one chunk too many is enough for the digest to fail.
            while done <= entry.size_bytes and (chunk := response.read(CHUNK_BYTES)):
                file.write(chunk)
                done += len(chunk)
                report(done)


def _by_hand(entry: Published, reason: str) -> str:
    return (
        f"could not download {entry.name} ({reason}). Try again to resume the "
        f"ended; or, on a machine with a connection, download {entry.url} and run "
        "`rtdecode weights import FILE` with it here"
    )
