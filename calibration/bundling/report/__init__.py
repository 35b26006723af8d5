"""The report of a calibration: one self-contained page."""

from calibration.bundling.report.content import report

__all__ = ["report"]
