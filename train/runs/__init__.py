"""What all training runs share: resumable folders, checkpoints, the Lightning fit, machine name."""
