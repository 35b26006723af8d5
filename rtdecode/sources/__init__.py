"""Where objects come from: one interface, and one module for each kind of source."""

from rtdecode.sources.base import Arrival, Source
from rtdecode.sources.filesystem import check_folder
from rtdecode.sources.folder import FolderSource
from rtdecode.sources.ingest import Context, IngestSource
from rtdecode.sources.recording import RecordingSource, recorded_ledger, recorded_volumes

__all__ = [
    "Arrival",
    "Context",
    "FolderSource",
    "IngestSource",
    "RecordingSource",
    "Source",
    "check_folder",
    "recorded_ledger",
    "recorded_volumes",
]
