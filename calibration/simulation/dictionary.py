"""A dictionary of brain regions, and states that are drawn from it.

Tasks differ in which regions they use and how strongly (Poldrack & Yarkoni 2016). A state is a few
entries, each with a gain. A network that learns the positions and shapes of regions from many
states can therefore transfer them to a new state.
"""

from collections.abc import Sequence

import numpy as np

from calibration.simulation.activation import Focus, TaskState
from calibration.simulation.seeds import lognormal
from rtdecode.errors import ConfigError

REGIONS = (
    # Movement and touch: Mayka et al. 2006.
    ("hand area", (38.0, -24.0, 56.0), 8.0),
    ("foot area", (6.0, -34.0, 66.0), 7.5),
    ("tongue area", (56.0, -8.0, 30.0), 8.0),
    ("secondary somatosensory", (50.0, -22.0, 18.0), 7.5),
    ("supplementary motor area", (4.0, -4.0, 60.0), 7.5),
    ("putamen", (26.0, -4.0, 4.0), 6.0),
    ("cerebellum V", (18.0, -52.0, -22.0), 7.5),
    # Vision: Kanwisher et al. 1997, Epstein & Kanwisher 1998, Dilks et al. 2013, Malach et al.
    # 1995, Downing et al. 2001, Dumoulin et al. 2000.
    ("fusiform face area", (40.0, -53.0, -19.0), 7.5),
    ("occipital face area", (39.0, -80.0, -8.0), 7.5),
    ("parahippocampal place area", (27.0, -45.0, -9.0), 7.5),
    ("retrosplenial complex", (18.0, -55.0, 12.0), 7.5),
    ("occipital place area", (34.0, -81.0, 21.0), 7.5),
    ("lateral occipital complex", (43.0, -72.0, -2.0), 8.0),
    ("extrastriate body area", (48.0, -70.0, 8.0), 7.5),
    ("V5", (46.0, -66.0, 3.0), 7.0),
    # Hearing and language: Humphries et al. 2010, Vigneau et al. 2006.
    ("Heschl's gyrus", (48.0, -20.0, 8.0), 7.5),
    ("superior temporal sulcus", (54.0, -42.0, 8.0), 8.0),
    ("temporal pole", (48.0, 12.0, -24.0), 8.0),
    ("inferior frontal gyrus, triangular", (48.0, 26.0, 8.0), 8.0),
    ("angular gyrus", (46.0, -62.0, 36.0), 9.0),
    # Attention, memory and control: Owen et al. 2005, Corbetta & Shulman 2002, Duncan 2010.
    ("frontal eye field", (28.0, -4.0, 52.0), 7.5),
    ("intraparietal sulcus", (30.0, -56.0, 48.0), 8.0),
    ("middle frontal gyrus", (42.0, 34.0, 28.0), 9.0),
    ("anterior insula", (36.0, 20.0, 0.0), 7.5),
    ("anterior cingulate", (4.0, 24.0, 34.0), 8.0),
    # Self, others, reward: Saxe & Kanwisher 2003, Buckner et al. 2008, Knutson et al. 2001.
    ("temporoparietal junction", (54.0, -50.0, 24.0), 9.0),
    ("medial prefrontal", (5.0, 54.0, 10.0), 9.0),
    ("precuneus", (5.0, -58.0, 38.0), 9.0),
    ("hippocampus", (26.0, -22.0, -14.0), 7.0),
    ("amygdala", (20.0, -6.0, -16.0), 6.0),
    ("nucleus accumbens", (11.0, 11.0, -4.0), 5.0),
)
"""Name, right-hand MNI millimetres, and radius. Each region exists on the left too."""
MIN_REGIONS, MAX_REGIONS = 4, 7
"""Limits of the number of regions of a state."""
NEGATIVE_SHARE = 0.2
"""Share of regions whose activity decreases."""
BOTH_SIDES = 0.5
"""Share of regions that a state uses on both sides."""


def draw_states(count: int, rng: np.random.Generator) -> tuple[TaskState, ...]:
    """Draw states, called `state_01` and so on.

    Parameters
    ----------
    count
        Number of states, at least one.
    rng
        Source of randomness.

    Raises
    ------
    ConfigError
        `count` is less than one.
    """
    if count < 1:
        raise ConfigError(f"{count} states: give 1 or more")
    return tuple(
        TaskState(f"state_{number:02d}", tuple(_foci(rng))) for number in range(1, count + 1)
    )


def _foci(rng: np.random.Generator) -> Sequence[Focus]:
    """Draw one state's regions."""
    foci = []
    for place in rng.permutation(len(REGIONS))[: int(rng.integers(MIN_REGIONS, MAX_REGIONS + 1))]:
        name, (x, y, z), radius_mm = REGIONS[place]
        gain = float(lognormal(rng, 0.3)) * (-0.4 if rng.random() < NEGATIVE_SHARE else 1.0)
        side = 1.0 if rng.random() < 0.5 else -1.0
        sides = (side, -side) if rng.random() < BOTH_SIDES else (side,)
        foci += [
            Focus(f"{name} {'right' if s > 0 else 'left'}", (s * x, y, z), gain, radius_mm)
            for s in sides
        ]
    return foci
