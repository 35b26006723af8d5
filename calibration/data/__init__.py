"""Reading, labelling and preparing calibration runs."""
