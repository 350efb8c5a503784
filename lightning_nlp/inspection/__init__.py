"""The data before the training: what `inspect` reports, and the short form that each `fit` writes."""
