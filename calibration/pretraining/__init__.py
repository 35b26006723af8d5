"""How the weights that rtdecode ships came to be: simulated people, many states, one small network.

`tools/experiments/pretrain_simulated.py` is the recipe, from top to bottom.
"""
