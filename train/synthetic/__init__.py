"""Synthetic gestures: poses of a parametric hand, pairs that differ in little, and their pictures.

Training on them teaches an encoder to tell poses apart that no data set shows.
"""
