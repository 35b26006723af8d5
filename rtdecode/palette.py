"""The colours of classes, the same in reports, on the operator's page and in the terminal."""

CLASS_COLOURS = (
    "#3b8fd0",
    "#f0862a",
    "#3fa65a",
    "#e2544f",
    "#a878d4",
    "#3fb5af",
    "#c9a81f",
    "#e874a0",
    "#a9764f",
    "#8592a3",
)
"""After Tableau 10: readable on white and on black, and for most colour-blind people. With more
classes the colours repeat."""


def class_colour(number: int) -> str:
    """Return the colour of a class."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]
