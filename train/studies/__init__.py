"""The published Siamese experiments, repeated: Omniglot, ASL volume, faces, a small gallery.

Each study trains and evaluates its networks and writes a report; `run.py study NAME` runs one.
"""
