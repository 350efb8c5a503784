"""Texts become tokens: tokenizers, preparation, token rows."""
