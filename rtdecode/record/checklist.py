"""The CRED-nf checklist (Ros et al. 2020, Brain 143:1674-1685).

Numbers, order and meaning of the items are those of the checklist; the wording is shortened.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FILLED, PARTLY, OPEN = "filled in", "in part", "to be filled in by the experimenter"
CITATION = "Ros et al. 2020, Brain 143:1674-1685, doi:10.1093/brain/awaa009"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the checklist."""

    domain: str
    number: str
    wording: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a session's record to an item."""

    text: str
    rest: str = ""
    """What the experimenter has to add; empty if the answer is complete."""


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """An item with its answer."""

    item: Item
    state: str
    """`FILLED`, `PARTLY` or `OPEN`."""
    answer: Answer


_BEFORE, _GROUPS, _MEASURES = "Pre-experiment", "Control groups", "Control measures"
_FEEDBACK, _DATA = "Feedback specifications", "Data storage"
_BRAIN, _BEHAVIOUR = "Outcome measures: brain", "Outcome measures: behaviour"
ITEMS = (
    Item(_BEFORE, "1a", "Pre-register the protocol and the planned analyses"),
    Item(_BEFORE, "1b", "Justify the sample size"),
    Item(_GROUPS, "2a", "Employ control groups or control conditions"),
    Item(_GROUPS, "2b", "Use a double-blind where the design makes one possible"),
    Item(_GROUPS, "2c (raters)", "Blind those who rate the outcomes"),
    Item(_GROUPS, "2c (analysts)", "Blind those who analyse the data"),
    Item(_GROUPS, "2d", "Examine to what extent participants and experimenters remain blinded"),
    Item(
        _GROUPS, "2e", "In clinical efficacy studies, have a standard-of-care group as a benchmark"
    ),
    Item(_MEASURES, "3a", "Collect data on psychosocial factors"),
    Item(_MEASURES, "3b", "Report whether participants were provided with a strategy"),
    Item(_MEASURES, "3c", "Report the strategies that participants used"),
    Item(_MEASURES, "3d", "Report the methods of online data processing and artefact correction"),
    Item(_MEASURES, "3e", "Report condition and group effects for artefacts"),
    Item(_FEEDBACK, "4a", "Report how the online feature extraction was defined"),
    Item(_FEEDBACK, "4b", "Report and justify the reinforcement schedule"),
    Item(_FEEDBACK, "4c", "Report the feedback modality and content"),
    Item(
        _FEEDBACK,
        "4d",
        "Collect and report all brain activity variables or contrasts used for feedback, as "
        "displayed to participants",
    ),
    Item(_FEEDBACK, "4e", "Report the hardware and software used"),
    Item(_BRAIN, "5a", "Report regulation success based on the feedback signal"),
    Item(
        _BRAIN,
        "5b",
        "Plot within-session and between-session regulation blocks of the feedback variables, and "
        "pre-to-post resting baselines or contrasts",
    ),
    Item(
        _BRAIN,
        "5c",
        "Compare the experimental condition or group statistically with the control, not only each "
        "with its baseline",
    ),
    Item(
        _BEHAVIOUR,
        "6a",
        "Include measures of clinical or behavioural significance, defined a priori, and say "
        "whether they were reached",
    ),
    Item(_BEHAVIOUR, "6b", "Correlate regulation success with behavioural outcomes"),
    Item(
        _DATA,
        "7a",
        "Upload materials, analysis scripts, code, raw data and final values to an open "
        "repository, where feasible",
    ),
)


def all_items(answers: Mapping[str, Answer]) -> list[ItemAnswer]:
    """Return all items in order; `answers` has the known answers by item number."""
    found = []
    for item in ITEMS:
        answer = answers.get(item.number, Answer(""))
        state = OPEN if not answer.text else PARTLY if answer.rest else FILLED
        found.append(ItemAnswer(item, state, answer))
    return found
