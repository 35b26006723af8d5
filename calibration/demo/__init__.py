"""`rtdecode demo`: everything that rtdecode does, on simulated people; no download, no scanner.

Somebody new to the small network that rtdecode ships is scanned as DICOM, calibrated, and decoded
live by the service while a player stands in for the scanner.
"""

from calibration.demo.run_demo import DemoSettings, run

__all__ = ["DemoSettings", "run"]
