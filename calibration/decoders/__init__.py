"""From prepared volumes to a decoder that was chosen and judged on held-out blocks."""
