"""Search strategies: the loop over time."""
