"""lightning_nlp: text encoders trained on plain PyTorch Lightning."""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["StreamingDataModule", "load_predictor"]
_MODULES = {"StreamingDataModule": "data.streaming.datamodule", "load_predictor": "predict.predictor"}


def __getattr__(name: str) -> Any:
    """What takes torch and transformers, which take seconds, is imported when it is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
