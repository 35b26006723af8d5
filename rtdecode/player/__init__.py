"""Plays a recorded series as the scanner would export it, and forwards what it does export."""

from rtdecode.player.forward import default_record, forward
from rtdecode.player.play import PlayReport, parse_speed, play
from rtdecode.player.schedule import Scheduled, schedule
from rtdecode.player.sinks import FolderSink, IngestSink, Sink

__all__ = [
    "FolderSink",
    "IngestSink",
    "PlayReport",
    "Scheduled",
    "Sink",
    "default_record",
    "forward",
    "parse_speed",
    "play",
    "schedule",
]
