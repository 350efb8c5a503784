"""A run's directory: open, resume, checkpoints, metrics."""
