"""A run becomes a Hugging Face folder with a card."""
