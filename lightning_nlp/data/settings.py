"""Settings of the data modules, grouped for their preparation."""

from dataclasses import dataclass
from typing import Any, Literal

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
class LabelForm:
    """What a label is, and how its cells are read (`texts/targets.py`)."""

    problem: str = "classes"  # or "labels", "number", "tags"; "auto" until the first rows are seen
    columns: tuple[str, ...] | None = None  # several, with 0 and 1; their names are the labels
    separator: str | None = None  # between the labels of one cell
    missing: tuple[str, ...] | None = None  # words for a missing label, in lower case; None for the usual ones
    why: str = "--data.problem"  # the reason for the problem

    def __post_init__(self) -> None:
        several = "--data.label_separator" if self.columns is None else "--data.label_column is a list"
        if self.separator == "":
            raise UserError("--data.label_separator is empty: give what separates the labels.")
        if self.columns == ():
            raise UserError("--data.label_column is an empty list: give the columns of the labels.")
        if self.columns is None and self.separator is None:
            return
        if self.columns and self.separator:
            raise UserError("--data.label_separator is for one column, --data.label_column a list: give one.")
        if self.problem not in ("auto", "labels"):
            raise UserError(f"{several} is for several labels: leave it out, or --data.problem {self.problem}.")
        if self.problem == "auto":
            object.__setattr__(self, "problem", "labels")
            object.__setattr__(self, "why", several)

    def for_cache(self) -> dict[str, Any]:
        """What it adds to the key of the token cache; nothing for classes."""
        return {} if self.problem == "classes" else {"problem": self.problem, "separator": self.separator}


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
