"""The colours of classes, the same in reports, on the operator's page and in the terminal."""

CLASS_COLOURS = (
    ("#2f6db5", "#6fa8e8"),
    ("#c8642a", "#f0985f"),
    ("#2f8f6b", "#63c7a0"),
    ("#8a57b0", "#bd90e0"),
    ("#b8952b", "#e0c060"),
    ("#b54668", "#ea84a4"),
    ("#4b8fa8", "#7fc4dc"),
    ("#6f7a39", "#b0bd70"),
)
"""For each class its colour on a light and on a dark background; with more classes they repeat."""


def light_colour(number: int) -> str:
    """Return the colour of a class on a light background."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)][0]


def dark_colour(number: int) -> str:
    """Return the colour of a class on a dark background."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)][1]
