#!/usr/bin/env python3
"""Plot a recorded session: motion, framewise displacement, probabilities and latency by volume.

  python plot_session.py SESSION_FOLDER picture.png

It also prints percentiles of the latency.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rtdecode.journal import Journal
from rtdecode.types import Decision, Outcome

TRANSLATIONS = ("trans_x", "trans_y", "trans_z")
ROTATIONS = ("rot_x", "rot_y", "rot_z")


def main() -> int:
    """Draw the picture and print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("session", type=Path, help="the session's folder")
    parser.add_argument("picture", type=Path, help="the file to write, .png, .pdf or .svg")
    options = parser.parse_args()
    with Journal(options.session) as journal:
        outcomes = [numbered.outcome for numbered in journal.outcomes()]
    decisions = [outcome for outcome in outcomes if isinstance(outcome, Decision)]
    if not decisions:
        parser.error(f"{options.session} has no decisions; give the folder of a decoded session")
    latency_ms = [(d.stamps.recorded_ns - d.stamps.received_ns) / 1e6 for d in decisions]
    figure = Figure(figsize=(11, 9), layout="constrained")
    axes = figure.subplots(5, 1, sharex=True)
    plot_motion(axes[:3], outcomes)
    plot_probabilities(axes[3], decisions)
    axes[4].plot([decision.index for decision in decisions], latency_ms, color="k")
    axes[4].set(ylabel="received to\nrecorded, ms", xlabel="volume")
    figure.savefig(options.picture, dpi=110)
    p50, p95, p99 = np.percentile(latency_ms, (50, 95, 99))
    print(f"{len(outcomes)} outcomes, {len(decisions)} decisions, drawn in {options.picture}")
    print(f"received to recorded: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
    return 0


def plot_motion(axes: Sequence[Axes], outcomes: Sequence[Outcome]) -> None:
    """Plot translation, rotation and framewise displacement on three axes."""
    measured = [(o.index, o.motion, o.quality) for o in outcomes if o.motion and o.quality]
    index = [at for at, _, _ in measured]
    motion = np.array([m.as_array() for _, m, _ in measured])
    for column, (translation, rotation) in enumerate(zip(TRANSLATIONS, ROTATIONS, strict=True)):
        axes[0].plot(index, motion[:, column], label=translation)
        axes[1].plot(index, np.rad2deg(motion[:, column + 3]), label=rotation)
    axes[0].set_ylabel("mm")
    axes[1].set_ylabel("degrees")
    for panel in axes[:2]:
        panel.legend(loc="upper left", ncols=3, frameon=False)
    axes[2].plot(index, [q.framewise_displacement for _, _, q in measured], color="k")
    axes[2].set_ylabel("framewise\ndisplacement, mm")


def plot_probabilities(axes: Axes, decisions: Sequence[Decision]) -> None:
    """Draw the classes' probabilities, one row per class and one column per decision."""
    probabilities = np.array([decision.probabilities for decision in decisions]).T
    extent = (decisions[0].index, decisions[-1].index + 1, len(probabilities), 0)
    axes.imshow(probabilities, aspect="auto", extent=extent, vmin=0, vmax=1)
    axes.set_ylabel("class")


if __name__ == "__main__":
    sys.exit(main())
