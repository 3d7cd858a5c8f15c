"""Hands in pictures: two detectors and what they need, tracking, and upright crops."""
