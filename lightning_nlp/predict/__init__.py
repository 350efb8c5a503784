"""Predicts for texts."""
