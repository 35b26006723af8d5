"""Randomisation: balanced, reproducible, and nothing that tells the arm."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.errors import ConfigError
from rtdecode.feedback import ARMS, Blinding, randomise, read_assignment, read_key, write_assignment


@given(st.integers(1, 90), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32))
def test_every_block_has_each_arm_equally_often(participants, arms, times, seed):
    """And the last, cut short, never more of one than a block has."""
    block = arms * times
    rows, key = randomise(participants, ARMS[:arms], block, seed)
    assert len({participant for participant, _ in rows}) == participants == len(rows)
    drawn = [key.arms[code] for _, code in rows]
    for at in range(0, participants, block):
        counts = Counter(drawn[at : at + block])
        if participants - at >= block:
            assert counts == dict.fromkeys(ARMS[:arms], times)
        else:
            assert max(counts.values()) <= times


def test_the_seed_decides_the_arms_and_not_the_secret():
    """The same seed draws the same again; what seals the record is new each time."""
    (rows, key), (same, other) = (randomise(40, ("real", "yoked"), 4, seed=3) for _ in range(2))
    assert (rows, key.arms) == (same, other.arms)
    assert key.secret != other.secret
    assert {randomise(1, ("real", "yoked"), 4, seed)[1].arms["A"] for seed in range(20)} == {
        "real",
        "yoked",
    }, "the letter tells the arm"


def test_numbers_that_make_no_blocks_are_refused():
    """With every reason at once."""
    with pytest.raises(ConfigError) as refused:
        randomise(0, ("real", "yoked"), 3)
    assert len(refused.value.problems) == 2
    with pytest.raises(ConfigError, match="each once"):
        randomise(4, ("real", "placebo"), 4)


def test_a_participant_is_looked_up(tmp_path):
    """Through the files; a second draw does not overwrite the first."""
    files = Blinding(tmp_path / "table.tsv", tmp_path / "table.key.json")
    rows, key = randomise(12, ARMS, 6, seed=1)
    write_assignment(rows, key, files)
    for participant, code in rows:
        found = read_assignment(files, participant)
        assert (found.arm, found.secret.hex()) == (key.arms[code], key.secret)
    assert read_key(files.key) == key
    with pytest.raises(ConfigError, match="only once"):
        write_assignment(rows, key, files)


def test_errors_tell_no_arm(tmp_path):
    """Whatever is wrong with the files, nothing of the key's content is in the message."""
    files = Blinding(tmp_path / "table.tsv", tmp_path / "key.json")
    with pytest.raises(ConfigError, match=r"key\.json is not a key"):
        read_assignment(files, "01")
    rows, key = randomise(4, ("real", "yoked"), 2, seed=1)
    write_assignment(rows, key, files)
    with pytest.raises(ConfigError, match="exactly one"):
        read_assignment(files, "05")
    content = files.key.read_text()
    files.table.write_text(files.table.read_text().replace("\tA", "\tC"))
    files.key.write_text(content[:-10])
    messages = []
    for text in (content[:-10], content):
        files.key.write_text(text)
        with pytest.raises(ConfigError) as refused:
            read_assignment(files, "01")
        messages.append(str(refused.value))
        assert refused.value.__cause__ is None
    assert not any(word in message for message in messages for word in ("real", "yoked", "secret"))
