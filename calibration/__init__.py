"""How far a similarity score can be trusted, and how small a network can get.

`episodes` draws few-shot episodes from embeddings (`showings`: which pictures form a reference),
`metrics` makes figures with intervals of their scores. `threshold` says when a match is accepted
and how probable it is, `fitting` fits that, `carry_over` tries it on other people. `int8/`
quantises an encoder and measures what that costs.
"""
