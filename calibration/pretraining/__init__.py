"""Training of the weights that rtdecode ships: simulated people, many states, one small network.

`tools/experiments/pretrain_simulated.py` is the recipe, from top to bottom.
"""
