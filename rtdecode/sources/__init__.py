"""Where objects come from: one protocol, and one file for each way in."""

from rtdecode.sources.base import Arrival, Source
from rtdecode.sources.filesystem import check_folder
from rtdecode.sources.folder import FolderSource
from rtdecode.sources.ingest import Context, IngestSource
from rtdecode.sources.recording import RecordingSource

__all__ = [
    "Arrival",
    "Context",
    "FolderSource",
    "IngestSource",
    "RecordingSource",
    "Source",
    "check_folder",
]
