"""Device and number of cores for torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def best_device() -> str:
    """Return `cuda` if torch can use a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one core within the block.

    If another process uses one of two cores, torch's threads wait for each other: the network's
    convolutions took 0.63 s for a volume with two threads and 0.14 s with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
