"""The data before the training: what `inspect` finds, and the short form of it that each `fit` writes."""
