"""Which data sets show the same alphabet. Sets are named after their folders."""

from __future__ import annotations

from calibration.fitting import ACROSS, WITHIN

# "set/label" → the letter with the same hand shape: both count as one class.
SAME_SHAPES = {"massey/0": "O", "massey/2": "V", "massey/6": "W", "massey/9": "F"}
ASL = ("asl_letters", "massey", "asl_alphabet", "asl_photos", "asl_davidlee", "fsl_letters")
# Sets whose subjects are bursts of pictures of one label: another burst of a label is another
# person, but bursts of two labels aren't of one person. Figures within a person mean nothing there.
BURSTS = ("arasl",)


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds of episodes that mean something in a set."""
    return (ACROSS,) if name in BURSTS else (WITHIN, ACROSS)
