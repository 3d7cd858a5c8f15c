"""ONNX Runtime as an engine: its providers, its sessions, and the Encoder on top of them."""
