"""Encoders tested on people whom they were not trained on, in float and in 8 bits."""
