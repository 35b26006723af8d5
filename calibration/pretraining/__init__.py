"""Training of the weights that rtdecode ships: simulated people, many states, one small network.

`tools/pretrain_simulated` is the recipe, from top to bottom.
"""
