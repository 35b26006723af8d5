"""`rtdecode demo`: the whole system on a simulated participant, without download or scanner.

A participant who is not in the network's training data is simulated as DICOM series. rtdecode
calibrates and then decodes a second run live, while a player replaces the scanner.
"""

from calibration.demo.run_demo import DemoSettings, run

__all__ = ["DemoSettings", "run"]
