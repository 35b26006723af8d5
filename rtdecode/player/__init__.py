"""Play a recorded series as a scanner exports it, and forward a scanner's exports."""

from rtdecode.player.forward import default_record, forward
from rtdecode.player.play import PlayReport, parse_speed, play
from rtdecode.player.schedule import ScheduledFile, schedule
from rtdecode.player.sinks import FolderSink, IngestSink, Sink

__all__ = [
    "FolderSink",
    "IngestSink",
    "PlayReport",
    "ScheduledFile",
    "Sink",
    "default_record",
    "forward",
    "parse_speed",
    "play",
    "schedule",
]
