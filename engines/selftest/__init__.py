"""Checks and times engines on the machine at hand, and writes a report for bug reports."""
