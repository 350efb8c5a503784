"""lightning_nlp: text encoders trained on plain PyTorch Lightning."""

import importlib
from typing import Any

__version__ = "0.2.0"

# The module of each public name. It is imported when the name is used: torch and transformers take seconds.
PUBLIC = {
    "EsperantoDataModule": "data.mlm",
    "IMDBDataModule": "data.datamodules",
    "Interrupted": "callbacks.interrupt",
    "MaskedLanguageModel": "models.mlm",
    "MaskedLanguageModelingDataModule": "data.mlm",
    "Run": "python_api",
    "SequenceClassifier": "models.classification",
    "StreamingDataModule": "data.streaming.datamodule",
    "TextClassificationDataModule": "data.datamodules",
    "TokenClassificationDataModule": "data.tagging",
    "TokenClassifier": "models.tagging",
    "UserError": "errors",
    "default_callbacks": "fitting",
    "fit": "python_api",
    "load_predictor": "predict.predictor",
    "load_tokenizer": "data.tokens.given_tokenizer",
    "main": "cli.main",
    "mask_tokens": "data.batches.masking",
    "open_run": "python_api",
    "save_pretrained": "export.folder",
    "train_tokenizer": "data.tokens.tokenizer",
}
__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
