"""Weights that rtdecode ships, each with a card that says what they are and are not."""

from pathlib import Path

EMBEDDED = ("deeplight-2d-4mm-sim",)


def embedded(name: str) -> Path:
    """Return the safetensors of weights that are shipped; its card is beside it, a `.md`.

    Parameters
    ----------
    name
        One of `EMBEDDED`.
    """
    return Path(__file__).parent / f"{name}.safetensors"
