"""Encoders on NVIDIA's Triton Inference Server: its model repository, and the client."""
