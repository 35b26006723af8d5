"""Train the small network that is part of rtdecode, on simulated people with many states.

`tools/experiments/pretrain_simulated.py` is the complete recipe.
"""
