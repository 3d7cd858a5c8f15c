"""Pictures of real hands for training and evaluation.

`prepare` runs the live loop's detector over people's pictures once and stores the crops; `prepared`
reads them back, `augment` varies them, and `sources` serves them to calibration and quantisation.
"""
