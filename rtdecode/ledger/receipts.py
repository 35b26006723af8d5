"""The results of adding an object to the ledger."""

from enum import StrEnum


class LedgerReceipt(StrEnum):
    """The result of adding one object to the ledger."""

    PLACED = "placed"
    """The object has its place; its volume is not complete yet."""
    COMPLETED = "completed"
    """The object completed a volume. That volume waits if an earlier one is missing."""
    DUPLICATE = "duplicate"
    """The object was added before."""
    LATE = "late"
    """The object's volume was given up."""
    CONFLICT = "conflict"
    """Another image was added before for the same place in the same volume; that one is kept."""
    WRONG_SERIES = "wrong_series"
    """The object belongs to another series."""
    NEXT_RUN = "next_run"
    """The object begins another run: end this run, and add the object to the next ledger."""


IMPORTANCE = (
    LedgerReceipt.CONFLICT,
    LedgerReceipt.PLACED,
    LedgerReceipt.LATE,
    LedgerReceipt.DUPLICATE,
)
"""The receipt of an object that belongs to several volumes is the first of theirs."""
