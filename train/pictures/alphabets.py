"""Which data sets show the same alphabet. Sets are named after their folders."""

from __future__ import annotations

# "set/label" → the letter with the same hand shape: both count as one class.
SAME_SHAPES = {"massey/0": "O", "massey/2": "V", "massey/6": "W", "massey/9": "F"}
ASL = ("asl_letters", "massey", "asl_alphabet", "asl_photos")
