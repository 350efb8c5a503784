"""Texts become predictions."""
