"""From an object's bytes to its place in a run, with counts and messages to the operator."""

import logging
from dataclasses import replace

from rtdecode import raw
from rtdecode.clock import Clock
from rtdecode.dicom import OtherImageError
from rtdecode.errors import VolumeError
from rtdecode.journal import Journal, Tally
from rtdecode.journal.pack import Record
from rtdecode.ledger import Ledger, LedgerReceipt
from rtdecode.types import Skipped, Stamps, Volume

log = logging.getLogger(__name__)


class Objects:
    """Reads objects and adds them to a ledger.

    Parameters
    ----------
    journal
        Receives the notices to the operator.
    clock
        For the stamps.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.tally = Tally()
        """The counts of the newest run."""
        self.detail = ""
        """The newest message to the operator."""
        self._journal = journal
        self._clock = clock

    def add(
        self, ledger: Ledger, run: int, record: Record, content: bytes, journalled_ns: int
    ) -> tuple[LedgerReceipt | None, list[Volume | Skipped]]:
        """Add an object to a ledger.

        Returns
        -------
        tuple of LedgerReceipt and list
            The receipt, `None` for an object that cannot be read, and the items that the ledger
            gives out.
        """
        self._count("objects")
        # A message never gives the object's name: scanners name files after participants.
        name = f"object {record.number} ({record.header['sha256'][:8]})"
        previous_notice = ledger.notice
        items: list[Volume | Skipped] = []
        try:
            parsed = raw.parse_object(content, name)
        except OtherImageError as other:
            receipt = ledger.leave_out(other)
        except VolumeError as error:
            self._count("unreadable")
            self.detail = str(error)
            log.warning("left out: %s", error)
            return None, []
        else:
            now_ns = self._clock.monotonic_ns()
            stamps = Stamps(int(record.header["received_ns"]), journalled_ns, now_ns)
            receipt, items = ledger.add(parsed, stamps, now_ns)
        if receipt is LedgerReceipt.WRONG_SERIES:
            self._count("left_out")
            if ledger.notice != previous_notice:
                self._report(record, run, receipt, ledger.notice)
        elif receipt is LedgerReceipt.CONFLICT:
            self._count("conflicts")
            self._report(record, run, receipt, ledger.conflict)
        elif receipt is LedgerReceipt.LATE:
            log.warning("%s came after its volume was given up", name)
        return receipt, items

    def store_tally(self, run: int) -> None:
        """Write the tally of a run to the journal."""
        self._journal.write_tally(run, self.tally)

    def _count(self, name: str) -> None:
        self.tally = replace(self.tally, **{name: getattr(self.tally, name) + 1})

    def _report(self, record: Record, run: int, receipt: LedgerReceipt, text: str) -> None:
        self.detail = text
        self._journal.add_notice(record.number, run, receipt, text)
