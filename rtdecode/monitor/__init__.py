"""The operator's terminal: decisions, motion and latency as they come."""

from rtdecode.monitor.view import MonitorState, picture, render
from rtdecode.monitor.watch import watch

__all__ = ["MonitorState", "picture", "render", "watch"]
