"""Which sets show the same alphabet, by the names of their folders."""

from __future__ import annotations

# Labels that the same hand shape carries in one set: they are one class.
SAME_SHAPES = {"massey/0": "O", "massey/2": "V", "massey/6": "W", "massey/9": "F"}
ASL = ("asl_letters", "massey", "asl_alphabet", "asl_photos")
