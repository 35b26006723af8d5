"""The messages on the sockets: JSON with a major version in each, and nothing executable.

Three sockets: `outcomes` (XPUB; a topic frame, then a message), `control` (ROUTER, for REQ or
DEALER clients: a request, answered by a reply) and `ingest` (ROUTER: an `IngestHeader` frame, then
the object's bytes, answered by an `IngestReply`). A float that is not a number is `null`.
"""

from types import UnionType
from typing import Annotated, Literal, TypeVar

import msgspec

from rtdecode.errors import RtdecodeError
from rtdecode.types import Motion, Stamps

SCHEMA = 1
"""Major version. It increases with a change that an older reader would misread."""
OUTCOME_TOPIC = b"outcome"
STATUS_TOPIC = b"status"
TEST_TOPIC = b"test"
MAX_CONTROL_BYTES = 1 << 16
"""Largest request."""
MAX_HEADER_BYTES = 1 << 12
"""Largest header of an object."""
MAX_REPLY_BYTES = 1 << 24
"""Largest message of a service: a snapshot."""
MAX_MARK = 1000
"""Longest text of a mark, characters."""
MAX_TRIAL_TYPE = 100
"""Longest trial type of an event, characters."""
MAX_EVENT_S = 86_400.0
"""Limit of an event's duration and of its distance from the first volume: one day."""
SNAPSHOT_LIMIT = 500
"""Most outcomes in one `Snapshot`; a client that needs more asks again."""


class WireError(RtdecodeError):
    """A message is not understood or is refused. The connection remains usable."""


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
    """`types.Decision`; `late` is written only if it is true."""

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
    """The outcome of one volume, numbered without gaps through the whole session."""

    session: str
    run: int
    sequence: int
    outcome: DecisionMessage | SkippedMessage


RunState = Literal[
    "idle", "ready", "calibrating", "running", "paused", "ended", "stopped", "faulted"
]
"""`stopped`: the service stopped in an unfinished run. Opening the session resumes the run."""


class StageLatency(msgspec.Struct, frozen=True):
    """Duration of a stage for the newest volumes, milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


class Status(_Message, frozen=True, kw_only=True, tag="status", tag_field="reply"):
    """The state of the service; also published under the topic `status` when it changes."""

    session: str
    run: int
    state: RunState
    sequence: int
    """Sequence number of the newest outcome; 0 before the first."""
    decisions: int
    skipped: int
    objects: int
    """Objects received in this run, without duplicates."""
    unreadable: int
    """Number of damaged objects among them."""
    left_out: int = 0
    """Number of objects among them that are not of the run: localisers, phase images ..."""
    conflicts: int = 0
    """Number of objects among them that contradict an earlier image."""
    late: int = 0
    """Number of decisions recorded after their deadline, published or withheld."""
    classes: tuple[str, ...]
    bundle: str
    repetition_time_s: float | None
    provider: str = ""
    subscribers: int = 0
    detail: str = ""
    """The fault, or the newest message for the operator."""
    latency: dict[str, StageLatency] = msgspec.field(default_factory=dict)
    """Latency by stage of the newest 1,000 volumes; `total`: last byte to recorded outcome."""


class Snapshot(_Message, frozen=True, kw_only=True, tag="snapshot", tag_field="reply"):
    """Outcomes that a client does not have, oldest first."""

    session: str
    run: int
    state: RunState
    last: int
    """The newest sequence number. Ask again if `outcomes` ends before it."""
    outcomes: tuple[OutcomeMessage, ...]


class Done(_Message, frozen=True, kw_only=True, tag="done", tag_field="reply"):
    """A command was executed."""

    detail: str = ""


class Refused(_Message, frozen=True, kw_only=True, tag="refused", tag_field="reply"):
    """A request is not understood, or is not possible now."""

    error: str


Reply = Status | Snapshot | Done | Refused


Nonce = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class LinkTest(_Message, frozen=True, kw_only=True):
    """Published under the topic `test` by `rtdecode check`: clients answer it immediately."""

    nonce: Nonce


class StatusRequest(_Message, frozen=True, kw_only=True, tag="status", tag_field="request"):
    """Ask for a `Status`."""


class StartRequest(_Message, frozen=True, kw_only=True, tag="start", tag_field="request"):
    """Begin the next run."""


class EndRequest(_Message, frozen=True, kw_only=True, tag="end", tag_field="request"):
    """End the run: incomplete volumes become `Skipped`."""


class MarkRequest(_Message, frozen=True, kw_only=True, tag="mark", tag_field="request"):
    """Add a remark to the session's record."""

    text: str
    """At most `MAX_MARK` characters."""


class EventRequest(_Message, frozen=True, kw_only=True, tag="event", tag_field="request"):
    """Add a presented event to the run's record, as BIDS describes events."""

    trial_type: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TRIAL_TYPE)]
    """Printable characters."""
    onset_s: Annotated[float, msgspec.Meta(ge=-MAX_EVENT_S, le=MAX_EVENT_S)] | None = None
    """Seconds since the acquisition of the run's first volume began; `None`: now."""
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_EVENT_S)] | None = None
    """Seconds; `None`: not known."""


class PauseRequest(_Message, frozen=True, kw_only=True, tag="pause", tag_field="request"):
    """Read volumes without deciding them until `resume`; the outcome of each is `paused`."""


class ResumeRequest(_Message, frozen=True, kw_only=True, tag="resume", tag_field="request"):
    """Decide again."""


class SnapshotRequest(_Message, frozen=True, kw_only=True, tag="snapshot", tag_field="request"):
    """Ask for the outcomes after a sequence number, or without one for those of this run."""

    since: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


class EchoRequest(_Message, frozen=True, kw_only=True, tag="echo", tag_field="request"):
    """Answer a `LinkTest`."""

    nonce: Nonce


class ShutdownRequest(_Message, frozen=True, kw_only=True, tag="shutdown", tag_field="request"):
    """Stop the service. Opening the session again resumes an unfinished run."""


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
    """Description of the object in the second frame of an ingest message."""

    kind: Literal["dicom", "volume"]
    """`volume`: a raw volume, see `rtdecode.raw`."""
    name: str
    """Name of the object in messages to the operator; never used as a path."""
    sha256: str


class IngestReply(_Message, frozen=True, kw_only=True):
    """The answer to one object, sent when the object is durable."""

    sha256: str
    receipt: str
    """`journalled`, `duplicate` (the same bytes were received before) or `refused`."""
    error: str = ""
    """Why the object was refused."""


class _Version(msgspec.Struct):
    schema: int


M = TypeVar("M")


def decode(content: bytes, message: type[M] | UnionType) -> M:
    """Read one JSON message of the type `message` (a `Struct` or a union of them).

    Raises
    ------
    WireError
        The content is not JSON, not of that type, or of another major version.
    """
    try:
        schema = msgspec.json.decode(content, type=_Version).schema
        if schema != SCHEMA:
            raise WireError(
                f"the message has schema {schema}, but this program uses schema {SCHEMA}; use the "
                "same version of rtdecode on both sides"
            )
        return msgspec.json.decode(content, type=message)
    # A value with thousands of nested levels exhausts the stack.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the message is not understood: {error}") from error


def encode(message: msgspec.Struct) -> bytes:
    """Write a message as JSON."""
    return msgspec.json.encode(message)
