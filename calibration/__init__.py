"""How far a similarity score can be trusted, and how small a network can get.

`episodes` draws one-shot episodes from embeddings, `metrics` makes figures with intervals of their
scores, `threshold` fits when a match is accepted and how probable it is. `int8/` quantises an
encoder and measures what that costs.
"""
