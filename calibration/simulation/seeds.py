"""One tree of random number generators for the simulation."""

import hashlib

import numpy as np


def stream(name: str, *seeds: int) -> np.random.Generator:
    """Return the random number generator of one factor, independent of all others.

    Streams have names, so that a new factor does not change the existing ones.

    Parameters
    ----------
    name
        Name of the factor, for example ``"anatomy"``.
    *seeds
        The path in the tree: the participant's seed, then the run's.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng([*seeds, key])


def lognormal(rng: np.random.Generator, spread: float, size: int | None = None) -> np.ndarray:
    """Draw factors around 1 whose logarithm has standard deviation `spread`."""
    return np.exp(spread * rng.standard_normal(size))
