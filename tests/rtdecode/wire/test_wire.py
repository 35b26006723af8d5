"""Messages."""

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.errors import ConfigError
from rtdecode.types import Decision, Motion, Quality, Skipped, SkipReason, Stamps
from rtdecode.wire import (
    IngestHeader,
    Numbered,
    OutcomeMessage,
    Reply,
    Request,
    WireError,
    decode,
    deterministic,
    encode,
    from_message,
    listening,
    outcome_to_message,
    reachable,
    to_message,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**62)
motions = st.builds(Motion, *[finite] * 6)
qualities = st.builds(
    Quality, *[finite] * 4, usable=st.booleans(), why=st.lists(st.text()).map(tuple)
)
stamps = st.builds(Stamps, *[counts] * 9)
decisions = st.builds(
    Decision,
    index=counts,
    probabilities=st.lists(finite).map(tuple),
    fast=st.lists(finite).map(tuple),
    label=st.text(),
    window_volumes=counts,
    motion=motions,
    quality=qualities,
    bundle=st.text(),
    acquired_s=finite,
    stamps=stamps,
    late=st.booleans(),
)
skips = st.builds(
    Skipped,
    index=counts,
    reason=st.sampled_from(SkipReason),
    detail=st.text(),
    motion=st.none() | motions,
    quality=st.none() | qualities,
    stamps=stamps,
)


@given(st.builds(Numbered, st.text(), counts, counts, decisions | skips))
def test_every_outcome_survives_the_wire(numbered):
    """What a client gets is what was decided, to the last bit."""
    assert from_message(decode(encode(to_message(numbered)), OutcomeMessage)) == numbered


@pytest.mark.parametrize(
    ("outcome", "content"),
    [
        (
            Decision(
                index=43,
                probabilities=(0.75, 0.25),
                fast=(1.0, 0.0),
                label="faces",
                window_volumes=4,
                motion=Motion(0.5, -0.25, 0.0, 0.001, 0.002, 0.003),
                quality=Quality(0.5, 1.5, math.nan, math.inf, usable=False, why=("motion",)),
                bundle="eb876143c906",
                acquired_s=math.nan,
                stamps=Stamps(1, 2, 3, 4, 5, 6, 7, 8, 9),
                late=True,
            ),
            b'{"type":"decision","index":43,"probabilities":[0.75,0.25],"fast":[1.0,0.0],'
            b'"label":"faces","window_volumes":4,"motion":{"trans_x":0.5,"trans_y":-0.25,'
            b'"trans_z":0.0,"rot_x":0.001,"rot_y":0.002,"rot_z":0.003},"quality":'
            b'{"framewise_displacement":0.5,"dvars":1.5,"temporal_snr":null,"signal_drop":null,'
            b'"usable":false,"why":["motion"]},"bundle":"eb876143c906","acquired_s":null,"stamps":'
            b'{"received_ns":1,"journalled_ns":2,"parsed_ns":3,"realigned_ns":4,"resampled_ns":5,'
            b'"smoothed_ns":6,"normalised_ns":7,"decided_ns":8,"recorded_ns":9},"late":true}',
        ),
        (
            Skipped(3, SkipReason.GAP),
            b'{"type":"skipped","index":3,"reason":"gap","detail":"","motion":null,"quality":null,'
            b'"stamps":{"received_ns":0,"journalled_ns":0,"parsed_ns":0,"realigned_ns":0,'
            b'"resampled_ns":0,"smoothed_ns":0,"normalised_ns":0,"decided_ns":0,"recorded_ns":0}}',
        ),
    ],
)
def test_an_outcome_has_these_bytes(outcome, content):
    """Keys, their order and their values are part of the protocol."""
    assert msgspec.json.encode(outcome_to_message(outcome)) == content
    whole = b'{"schema":1,"session":"s","run":2,"sequence":44,"outcome":%s}' % content
    assert encode(to_message(Numbered("s", 2, 44, outcome))) == whole


def test_what_is_no_number_is_null_on_the_wire():
    """JSON has no NaN; it comes back as one."""
    quality = Quality(0.1, 1.0, float("nan"), 0.0, usable=True)
    decision = Decision(0, (1.0,), (1.0,), "a", 1, Motion(), quality, "b", float("nan"), Stamps())
    content = encode(to_message(Numbered("s", 1, 1, decision)))
    assert msgspec.json.decode(content)["outcome"]["quality"]["temporal_snr"] is None
    back = from_message(decode(content, OutcomeMessage)).outcome
    assert back.quality.temporal_snr != back.quality.temporal_snr
    assert deterministic(back) == deterministic(decision)


def test_stamps_do_not_count_as_results():
    """Two runs differ in when, not in what."""
    early, late = Skipped(1, SkipReason.GAP), Skipped(1, SkipReason.GAP, stamps=Stamps(5))
    assert deterministic(early) == deterministic(late)
    assert deterministic(early) != deterministic(Skipped(1, SkipReason.LATE))


def test_lateness_is_told_and_does_not_count_as_a_result():
    """A late decision says so on the wire; the others are as they always were."""
    quality = Quality(0.1, 1.0, 50.0, 0.0, usable=True)
    decision = Decision(0, (1.0,), (1.0,), "a", 1, Motion(), quality, "b", 0.0, Stamps())
    late = replace(decision, late=True)
    told = [
        msgspec.json.decode(encode(to_message(Numbered("s", 1, 1, d))))["outcome"]
        for d in (decision, late)
    ]
    assert told[1] == {**told[0], "late": True}
    assert "late" not in told[0]
    assert deterministic(late) == deterministic(decision)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(content):
    """Anything that is no message is refused with an error of ours."""
    for kind in (Request, Reply, OutcomeMessage, IngestHeader):
        with pytest.raises(WireError):
            decode(content, kind)


def test_another_major_version_is_named():
    """Both versions are in the message."""
    with pytest.raises(WireError, match="schema 7, but this program uses schema 1"):
        decode(b'{"schema": 7, "request": "status"}', Request)


def test_only_this_machines_addresses_are_endpoints():
    """Loopback passes, everything else is refused with the reason."""
    assert listening("tcp://localhost:7801", has_keys=False) == "tcp://127.0.0.1:7801"
    assert listening("tcp://127.0.0.1:*", has_keys=False) == "tcp://127.0.0.1:*"
    assert listening("tcp://[::1]:7801", has_keys=False) == "tcp://[::1]:7801"
    for remote in (
        "tcp://*:1",
        "tcp://0.0.0.0:1",
        "tcp://10.0.0.1:1",
        "tcp://scanner:1",
        "tcp://[::]:1",
    ):
        with pytest.raises(ConfigError, match="CURVE keys"):
            listening(remote, has_keys=False)
        assert listening(remote, has_keys=True) == remote
    for wrong in ("127.0.0.1:7801", "tcp://127.0.0.1", "tcp://:7801", "ipc:///tmp/x", ""):
        with pytest.raises(ConfigError, match="tcp://ADDRESS:PORT"):
            listening(wrong, has_keys=False)


@pytest.mark.parametrize(
    ("bound", "local"),
    [
        ("tcp://0.0.0.0:7801", "tcp://127.0.0.1:7801"),
        ("tcp://[::]:7801", "tcp://[::1]:7801"),
        ("tcp://192.168.2.1:7801", "tcp://192.168.2.1:7801"),
        ("tcp://127.0.0.1:7801", "tcp://127.0.0.1:7801"),
    ],
)
def test_every_address_is_this_machine_for_its_own_clients(bound, local):
    """Where a service listens everywhere, its own machine is one of the places."""
    assert reachable(bound) == local


def test_what_is_nested_without_end_is_refused():
    """A message of brackets exhausts no stack."""
    for content in (b"[" * 100_000, b'{"schema": 1, "x": ' + b"[" * 100_000):
        with pytest.raises(WireError):
            decode(content, Request)
