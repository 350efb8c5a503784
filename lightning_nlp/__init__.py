"""lightning_nlp: text encoders trained on plain PyTorch Lightning."""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["load_predictor"]


def __getattr__(name: str) -> Any:
    """What takes torch and transformers, which take seconds, is imported when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module("lightning_nlp.predict.predictor"), name)
