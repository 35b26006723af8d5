"""Where torch computes, and on how many cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def best_device() -> str:
    """Return `cuda` where there is a GPU that torch can use, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one core within the block.

    On two cores of which something else uses one, its threads wait for each other: a volume through
    the network's convolutions took 0.63 s with two, 0.14 s with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
