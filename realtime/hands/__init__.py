"""Hands in pictures: MediaPipe's model and detector, tracking, and upright crops."""
