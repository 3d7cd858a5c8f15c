"""Tests of train/runs: states, processes, and trainings that diverge."""
