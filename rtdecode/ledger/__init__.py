"""Which volume of which run this is. No clock, no input or output."""

from rtdecode.ledger.expected import Expected, voxel_mm
from rtdecode.ledger.ledger import Ledger, LedgerReceipt
from rtdecode.ledger.placement import centre, orientation

__all__ = ["Expected", "Ledger", "LedgerReceipt", "centre", "orientation", "voxel_mm"]
