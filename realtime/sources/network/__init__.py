"""Streams over a network: asking for them, logging in, and saying why there are none."""
