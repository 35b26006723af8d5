"""The operator's terminal: shows decisions, motion and latency live."""

from rtdecode.monitor.view import MonitorState, picture, render
from rtdecode.monitor.watch import watch

__all__ = ["MonitorState", "picture", "render", "watch"]
