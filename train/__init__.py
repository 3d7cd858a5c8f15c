"""Where an encoder comes from. Needs more packages than the live loop does."""
