"""What goes over the sockets: JSON with a major version in every message, nothing executable.

Three sockets: `outcomes` (XPUB; a topic frame, then a message), `control` (ROUTER, for REQ or
DEALER clients: a request, answered by a reply) and `ingest` (ROUTER: an `IngestHeader` frame, then
the object's bytes, answered by an `IngestReply`). Floats that are not numbers are `null`.
"""

from types import UnionType
from typing import Annotated, Literal, TypeVar

import msgspec

from rtdecode.errors import RtdecodeError
from rtdecode.types import Motion, Stamps

SCHEMA = 1
"""Major version; a change that an older reader would misread raises it."""
OUTCOME_TOPIC = b"outcome"
STATUS_TOPIC = b"status"
TEST_TOPIC = b"test"
MAX_CONTROL_BYTES = 1 << 16
"""Of a request; all are small."""
MAX_HEADER_BYTES = 1 << 12
"""Of an object's header."""
MAX_REPLY_BYTES = 1 << 24
"""Of what a service sends, a snapshot at most."""
MAX_MARK = 1000
"""Longest text of a mark, characters."""
MAX_TRIAL_TYPE = 100
"""Characters of an event's trial type."""
MAX_EVENT_S = 86_400.0
"""Of an event's onset, before or after the first volume, and of its duration: a day."""
SNAPSHOT_LIMIT = 500
"""Outcomes in one `Snapshot`; a client that is further behind asks again."""


class WireError(RtdecodeError):
    """A message is not understood or refused; everything else goes on."""


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = SCHEMA


class QualityMessage(msgspec.Struct, frozen=True):
    """`types.Quality`, with `None` for a value that is not a number."""

    framewise_displacement: float | None
    dvars: float | None
    temporal_snr: float | None
    signal_drop: float | None
    usable: bool
    why: tuple[str, ...] = ()


class DecisionMessage(
    msgspec.Struct, frozen=True, tag="decision", tag_field="type", omit_defaults=True
):
    """`types.Decision`; `late` is there only where it is true."""

    index: int
    probabilities: tuple[float, ...]
    fast: tuple[float, ...]
    label: str
    window_volumes: int
    motion: Motion
    quality: QualityMessage
    bundle: str
    acquired_s: float | None
    stamps: Stamps
    late: bool = False


class SkippedMessage(msgspec.Struct, frozen=True, tag="skipped", tag_field="type"):
    """`types.Skipped`."""

    index: int
    reason: str
    detail: str
    motion: Motion | None
    quality: QualityMessage | None
    stamps: Stamps


class OutcomeMessage(_Message, frozen=True, kw_only=True):
    """One volume's outcome, numbered without a gap through the whole session."""

    session: str
    run: int
    sequence: int
    outcome: DecisionMessage | SkippedMessage


RunState = Literal[
    "idle", "ready", "calibrating", "running", "paused", "ended", "stopped", "faulted"
]
"""`stopped`: the service is gone and the run unfinished; it goes on when its session is opened."""


class StageLatency(msgspec.Struct, frozen=True):
    """How long a stage took for the newest volumes, milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


class Status(_Message, frozen=True, kw_only=True, tag="status", tag_field="reply"):
    """Where the service stands; also published under the topic `status` when it changes."""

    session: str
    run: int
    state: RunState
    sequence: int
    """The newest outcome's; 0 before the first."""
    decisions: int
    skipped: int
    objects: int
    """Objects received in this run, without duplicates."""
    unreadable: int
    """Of those, how many were damaged."""
    left_out: int = 0
    """Of those, how many cannot be the run's: localisers, phase images, another protocol ..."""
    conflicts: int = 0
    """Of those, how many contradict an image that came before."""
    late: int = 0
    """Decisions that were recorded after their deadline, published or withheld."""
    classes: tuple[str, ...]
    bundle: str
    repetition_time_s: float | None
    provider: str = ""
    subscribers: int = 0
    detail: str = ""
    """The fault, or the last thing an operator should know."""
    latency: dict[str, StageLatency] = msgspec.field(default_factory=dict)
    """By stage, `total` from a volume's last byte to its recorded outcome; of the newest 1,000."""


class Snapshot(_Message, frozen=True, kw_only=True, tag="snapshot", tag_field="reply"):
    """Outcomes that a client missed, oldest first."""

    session: str
    run: int
    state: RunState
    last: int
    """The newest sequence number there is: ask again where `outcomes` ends before it."""
    outcomes: tuple[OutcomeMessage, ...]


class Done(_Message, frozen=True, kw_only=True, tag="done", tag_field="reply"):
    """A command was carried out."""

    detail: str = ""


class Refused(_Message, frozen=True, kw_only=True, tag="refused", tag_field="reply"):
    """A request was not understood, or is not possible now."""

    error: str


Reply = Status | Snapshot | Done | Refused


Nonce = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class LinkTest(_Message, frozen=True, kw_only=True):
    """Published under the topic `test` by `rtdecode check`: no outcome, to be echoed at once."""

    nonce: Nonce


class StatusRequest(_Message, frozen=True, kw_only=True, tag="status", tag_field="request"):
    """Ask for a `Status`."""


class StartRequest(_Message, frozen=True, kw_only=True, tag="start", tag_field="request"):
    """Begin the next run."""


class EndRequest(_Message, frozen=True, kw_only=True, tag="end", tag_field="request"):
    """End the run: what is incomplete becomes `Skipped`."""


class MarkRequest(_Message, frozen=True, kw_only=True, tag="mark", tag_field="request"):
    """Put a remark of at most 1,000 characters into the session's record."""

    text: str


class EventRequest(_Message, frozen=True, kw_only=True, tag="event", tag_field="request"):
    """Put a presented event into the run's record, as BIDS describes events."""

    trial_type: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TRIAL_TYPE)]
    """Printable characters."""
    onset_s: Annotated[float, msgspec.Meta(ge=-MAX_EVENT_S, le=MAX_EVENT_S)] | None = None
    """Seconds since the acquisition of the run's first volume began; `None`: now."""
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_EVENT_S)] | None = None
    """`None`: not known."""


class PauseRequest(_Message, frozen=True, kw_only=True, tag="pause", tag_field="request"):
    """Take volumes in and decide none, until `resume`: the outcome of each is `paused`."""


class ResumeRequest(_Message, frozen=True, kw_only=True, tag="resume", tag_field="request"):
    """Decide again."""


class SnapshotRequest(_Message, frozen=True, kw_only=True, tag="snapshot", tag_field="request"):
    """Ask for the outcomes after a sequence number, or for this run's where there is none."""

    since: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


class EchoRequest(_Message, frozen=True, kw_only=True, tag="echo", tag_field="request"):
    """Answer a `LinkTest`: it came, and by this way answers go."""

    nonce: Nonce


class ShutdownRequest(_Message, frozen=True, kw_only=True, tag="shutdown", tag_field="request"):
    """Stop the service; an unfinished run goes on when its session is opened again."""


Request = (
    StatusRequest
    | StartRequest
    | EndRequest
    | PauseRequest
    | ResumeRequest
    | MarkRequest
    | EventRequest
    | SnapshotRequest
    | EchoRequest
    | ShutdownRequest
)


class IngestHeader(_Message, frozen=True, kw_only=True):
    """What the second frame of an ingest message is."""

    kind: Literal["dicom", "volume"]
    """`volume`: a raw one, see `rtdecode.raw`."""
    name: str
    """For messages to the operator only; never used as a path."""
    sha256: str


class IngestReply(_Message, frozen=True, kw_only=True):
    """The answer to one object, sent once it is durable."""

    sha256: str
    receipt: str
    """`journalled`, `duplicate` (the same bytes came before) or `refused`, see `error`."""
    error: str = ""


class _Version(msgspec.Struct):
    schema: int


M = TypeVar("M")


def decode(content: bytes, message: type[M] | UnionType) -> M:
    """Read one JSON message of the type `message` (a `Struct` or a union of them).

    Raises
    ------
    WireError
        It is no JSON, not of that type, or of another major version; the message says which.
    """
    try:
        schema = msgspec.json.decode(content, type=_Version).schema
        if schema != SCHEMA:
            raise WireError(
                f"the message has schema {schema}, this side speaks schema {SCHEMA}; use the same "
                "version of rtdecode on both sides"
            )
        return msgspec.json.decode(content, type=message)
    # A value nested by the thousand exhausts the stack.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the message is not understood: {error}") from error


def encode(message: msgspec.Struct) -> bytes:
    """Write a message as JSON."""
    return msgspec.json.encode(message)
