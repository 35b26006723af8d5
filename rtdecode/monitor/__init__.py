"""The operator's terminal: shows decisions, motion and latency live."""

from rtdecode.monitor.view import MonitorState, render
from rtdecode.monitor.watch import watch

__all__ = ["MonitorState", "render", "watch"]
