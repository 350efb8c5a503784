"""Settings of the data modules, grouped for their preparation."""

from dataclasses import dataclass
from typing import Literal

from lightning_nlp.errors import UserError

SPLITS = ("train", "validation", "test")
WARNING = "warning: "  # begins a line about the cleaning that `--quiet` must not hide
DELIMITERS = {",": ",", "tab": "\t", ";": ";", "|": "|"}  # by their names on the command line

Truncation = Literal["head", "head_tail"]


@dataclass(frozen=True)
class Dialect:
    """How text files are written."""

    encoding: str = "utf-8"  # of all but parquet, by its Python name
    delimiter: str | None = None  # of CSV and TSV: a character or "tab"; None infers it from the suffix
    quoting: bool = True  # whether quotation marks enclose fields

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError) as error:
            raise UserError(
                f"--data.encoding {self.encoding!r} is unknown to Python: give utf-8, cp1252, utf-16, ..."
            ) from error
        if self.delimiter is not None:
            delimiter = DELIMITERS.get(self.delimiter.replace("\\t", "tab"), self.delimiter)
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise UserError(f"--data.delimiter {self.delimiter!r} is not one character: give ; | , or tab.")
            object.__setattr__(self, "delimiter", delimiter)


UTF8 = Dialect()


@dataclass(frozen=True)
class Cleaning:
    """What is cleaned, dropped and held out: arguments of `build_splits`."""

    clean: bool = True
    deduplicate: bool = True
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    max_train_samples: int | None = None
    max_val_samples: int | None = None
    max_test_samples: int | None = None
    split_seed: int = 42


@dataclass(frozen=True)
class TokenizerTraining:
    """How a tokenizer is trained: arguments of `train_tokenizer`."""

    tokenizer_model: Literal["wordpiece", "bpe"] = "wordpiece"
    vocab_size: int = 30_000
    min_frequency: int = 2
    limit_alphabet: int | None = None
    lowercase: bool = True
