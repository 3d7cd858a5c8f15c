"""What comes from outside, changed by chance: nothing crashes, hangs, or reads elsewhere.

Each test tries a few changes; HOSTILE_EXAMPLES=100000 in the environment tries that many.
"""
