"""Priors for a calibration: known states, group maps, and studies of other people."""
