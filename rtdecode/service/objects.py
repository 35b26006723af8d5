"""From an object's bytes to its place in a run; counted, and told to the operator."""

import logging
from dataclasses import dataclass

from rtdecode import raw
from rtdecode.clock import Clock
from rtdecode.dicom import OtherImageError
from rtdecode.errors import VolumeError
from rtdecode.journal import Journal
from rtdecode.journal.pack import Record
from rtdecode.ledger import Ledger, LedgerReceipt
from rtdecode.types import Skipped, Stamps, Volume

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What a run's objects were."""

    objects: int = 0
    unreadable: int = 0
    left_out: int = 0
    conflicts: int = 0


class Objects:
    """Reads objects and hands them to a ledger.

    Parameters
    ----------
    journal, clock
        What it works with.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.counts = Counts()
        self.detail = ""
        """The last thing an operator should know."""
        self._journal = journal
        self._clock = clock

    def add(
        self, ledger: Ledger, run: int, record: Record, content: bytes, journalled_ns: int
    ) -> tuple[LedgerReceipt | None, list[Volume | Skipped]]:
        """Give an object its place; `None` for one that cannot be read."""
        self.counts.objects += 1
        # By its number and digest, never by its name: scanners name files after participants.
        shown = f"object {record.number} ({record.header['sha256'][:8]})"
        noticed = ledger.notice
        items: list[Volume | Skipped] = []
        try:
            parsed = raw.parse_object(content, shown)
        except OtherImageError as other:
            receipt = ledger.leave_out(other)
        except VolumeError as error:
            self.counts.unreadable += 1
            self.detail = str(error)
            log.warning("left out: %s", error)
            return None, []
        else:
            now_ns = self._clock.monotonic_ns()
            stamps = Stamps(int(record.header["received_ns"]), journalled_ns, now_ns)
            receipt, items = ledger.add(parsed, stamps, now_ns)
        if receipt is LedgerReceipt.WRONG_SERIES:
            self.counts.left_out += 1
            if ledger.notice != noticed:
                self._tell(record, run, receipt, ledger.notice)
        elif receipt is LedgerReceipt.CONFLICT:
            self.counts.conflicts += 1
            self._tell(record, run, receipt, ledger.conflict)
        elif receipt is LedgerReceipt.LATE:
            log.warning("%s came after its volume was given up", shown)
        return receipt, items

    def _tell(self, record: Record, run: int, receipt: LedgerReceipt, text: str) -> None:
        self.detail = text
        self._journal.note(record.number, run, receipt, text)
