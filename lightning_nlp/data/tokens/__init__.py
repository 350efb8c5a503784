"""Turns texts into tokens: tokenizers, preparation, token rows."""
