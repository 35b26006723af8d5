"""From a recorded run and its events to labelled, prepared volumes."""
