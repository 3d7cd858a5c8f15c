"""Quantises encoders to 8 bits (Q/DQ): which layers, which ranges, and what it costs."""
