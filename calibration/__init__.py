"""Calibration: from one labelled run to a compiled decoder; needs torch."""
