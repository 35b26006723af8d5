"""Outcomes in an event loop."""

import asyncio
import sys

import pytest

from rtdecode.client import AsyncOutcomes
from rtdecode.errors import ConfigError, RunError

LOOPS = [asyncio.SelectorEventLoop]
if sys.platform == "win32":
    LOOPS.append(asyncio.ProactorEventLoop)


@pytest.mark.parametrize("loop", LOOPS)
def test_outcomes_come_once_and_in_order_until_the_run_ends(start, export, scanner, loop):
    """A late subscriber gets the run from its first volume; the loop is not blocked."""
    service = start(volumes=5)
    for index in range(3):
        export(f"{index}.dcm", scanner.mosaic(index))

    async def follow() -> tuple[list[int], int]:
        turns, seen = 0, []

        async def work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        working = asyncio.create_task(work())
        where = service.endpoints
        async with AsyncOutcomes(where.outcomes, where.control, timeout_s=20) as outcomes:
            async for numbered in outcomes:
                seen.append(numbered.index)
                if numbered.index == 2:
                    before = turns
                    for index in (3, 4):
                        export(f"{index}.dcm", scanner.mosaic(index))
            assert turns > before
            assert outcomes.status is not None
        working.cancel()
        return seen, turns

    with asyncio.Runner(loop_factory=loop) as runner:
        seen, turns = runner.run(follow())
    assert seen == [0, 1, 2, 3, 4]
    assert turns > 1
    service.shut()


def test_errors_are_raised_while_waiting_for_outcomes():
    """A wrong endpoint and an absent service raise errors; an early exit leaves no thread."""

    async def follow() -> None:
        with pytest.raises(ConfigError, match="is not an endpoint"):
            async with AsyncOutcomes("7801"):
                raise AssertionError
        async with AsyncOutcomes("tcp://127.0.0.1:9", timeout_s=0.05) as outcomes:
            with pytest.raises(TimeoutError, match=r"0\.05 s"):
                await anext(outcomes)

    asyncio.run(follow())


def test_a_fault_of_the_service_is_raised(start, export, scanner, stand_in):
    """The error has the service's message, also on repeated calls."""

    class Broken(stand_in):
        def step(self, item):
            if item.index == 1:
                raise RuntimeError("the decoder broke")
            return super().step(item)

    service = start(Broken())

    async def follow() -> None:
        where = service.endpoints
        async with AsyncOutcomes(where.outcomes, where.control, timeout_s=20) as outcomes:
            export("0.dcm", scanner.mosaic(0))
            assert (await anext(outcomes)).index == 0
            export("1.dcm", scanner.mosaic(1))
            for _ in range(2):
                with pytest.raises(RunError) as raised:
                    await anext(outcomes)
                assert "the decoder broke" in str(raised.value)

    asyncio.run(follow())
    service.stop.set()
