"""Builds TensorRT plans of encoders, checks that they run here, and runs them."""
