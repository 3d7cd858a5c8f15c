"""Figures of encoders and of the live loop, on people's pictures and on a labelled video."""
