"""What `run.py doctor` finds: on this machine, and in an encoder's engines on it."""
