"""How far a score can be trusted: one-shot episodes, thresholds, probabilities."""
