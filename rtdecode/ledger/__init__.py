"""Assigns each object to its run and volume. No clock, no input or output."""

from rtdecode.ledger.ledger import Ledger
from rtdecode.ledger.receipts import LedgerReceipt
from rtdecode.ledger.scan_protocol import ScanProtocol, centre, orientation, voxel_mm

__all__ = ["Ledger", "LedgerReceipt", "ScanProtocol", "centre", "orientation", "voxel_mm"]
