#!/usr/bin/env python3
"""Plot a recorded session: motion, framewise displacement, probabilities and latency by volume.

Usage: .venv/bin/python tools/examples/plot_session.py SESSION_FOLDER picture.png
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rtdecode.journal import Journal
from rtdecode.types import Decision

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def main() -> int:
    """Draw the picture and print latency percentiles per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("session", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    with Journal(given.session) as journal:
        outcomes = [numbered.outcome for numbered in journal.outcomes()]
    measured = [outcome for outcome in outcomes if outcome.motion and outcome.quality]
    decided = [outcome for outcome in outcomes if isinstance(outcome, Decision)]
    index = [outcome.index for outcome in measured]
    motion = np.array([outcome.motion.as_array() for outcome in measured])
    figure = Figure(figsize=(11, 9), layout="constrained")
    shift, turn, displacement, evidence, age = figure.subplots(5, 1, sharex=True)
    for axis in range(3):
        shift.plot(index, motion[:, axis], label=MOTION[axis])
        turn.plot(index, np.rad2deg(motion[:, axis + 3]), label=MOTION[axis + 3])
    shift.set_ylabel("mm")
    turn.set_ylabel("degrees")
    displacement.plot(index, [o.quality.framewise_displacement for o in measured], color="k")
    displacement.set_ylabel("framewise\ndisplacement, mm")
    probabilities = np.array([outcome.probabilities for outcome in decided]).T
    evidence.imshow(
        probabilities,
        aspect="auto",
        extent=(decided[0].index, decided[-1].index + 1, len(probabilities), 0),
        vmin=0,
        vmax=1,
    )
    evidence.set_ylabel("class")
    latency_ms = [(o.stamps.recorded_ns - o.stamps.received_ns) / 1e6 for o in decided]
    age.plot([outcome.index for outcome in decided], latency_ms, color="k")
    age.set_ylabel("received to\nrecorded, ms")
    age.set_xlabel("volume")
    for panel in (shift, turn):
        panel.legend(loc="upper left", ncols=3, frameon=False)
    figure.savefig(given.picture, dpi=110)
    percentiles = np.percentile(latency_ms, [50, 95, 99])
    print(f"{len(outcomes)} outcomes, {len(decided)} decisions, {given.picture} drawn")
    print("received to recorded: p50 {:.0f} ms, p95 {:.0f} ms, p99 {:.0f} ms".format(*percentiles))
    return 0


if __name__ == "__main__":
    sys.exit(main())
