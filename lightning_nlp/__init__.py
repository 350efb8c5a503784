"""lightning_nlp: text encoders trained on plain PyTorch Lightning."""

__version__ = "0.1.0"
