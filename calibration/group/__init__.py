"""`rtdecode group`: what several people's calibrations have in common, as a study file."""
