"""From a fitted decoder to the bundle that is served, and its report."""
