"""The data modules of a classifier: labelled texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import DataLoader

from lightning_nlp.data.base import TextDataModule
from lightning_nlp.data.batches.collators import collate_classification
from lightning_nlp.data.batches.eval_batches import in_order_loader
from lightning_nlp.data.batches.loader import Batch
from lightning_nlp.data.settings import Truncation

if TYPE_CHECKING:
    from lightning_nlp.data.texts.sources import Source


class TextClassificationDataModule(TextDataModule):
    """Labelled texts for a `SequenceClassifier`. Arguments not listed are those of `TextDataModule`.

    Args:
        path: A CSV, TSV, JSONL or parquet file, a glob, a folder where names of files or folders tell the split or the
            class, a Hub id, or `demo` for the embedded reviews. Parts of train are held out where splits are missing.
        text_column: The column with the text; of two, e.g. '[premise, hypothesis]', each example is a pair of texts.
        label_column: The column with the label: a class, a list of labels, or a number. Of several columns with 0
            and 1, e.g. '[toxic, insult]', the names are the labels that a text may have.
        problem: `classes`, one a text, `labels`, any number of them, or `number`. `auto` goes by the label column:
            lists are labels, fractions numbers, words and whole numbers classes.
        label_separator: What separates several labels in a column of strings; an empty one has no label.
        truncation: What is kept of a text longer than `max_length`: `head` keeps its beginning, `head_tail` a quarter
            from its beginning and the rest from its end. Of a pair the longer text is cut first.
        drop_incomplete: Drop rows without text or label instead of stopping at them.
        missing_labels: Labels that mean that there is none, e.g. [-1]; [] takes all as classes. Null takes
            nan, None, NULL, N/A, ?, - and the like, and asks about -1 among 0, 1, ...
    """

    head = "ForSequenceClassification"
    takes_pairs = True

    def __init__(
        self,
        path: str,
        *,
        text_column: list[str] | str = "text",
        label_column: list[str] | str = "label",
        problem: Literal["auto", "classes", "labels", "number"] = "auto",
        label_separator: str | None = None,
        truncation: Truncation = "head",
        drop_incomplete: bool = False,
        missing_labels: list[str | int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(path, text_column=text_column, **kwargs)
        self.truncation = truncation
        self.source_settings = {
            "label_column": label_column,
            "problem": problem,
            "label_separator": label_separator,
            "drop_incomplete": drop_incomplete,
            "missing_labels": missing_labels,
        }

    def source(self) -> Source:
        """The labelled texts at `path`."""
        from lightning_nlp.data.texts.sources import labelled_source

        assert self.path is not None
        return labelled_source(self.path, **self.columns, **self.source_settings, dialect=self.dialect)

    @property
    def label_facts(self) -> dict[str, Any]:
        """What a classifier needs to know: `problem`, and of train `class_counts`, or `mean` and `std` of numbers."""
        return {"problem": self.facts.get("problem", "classes")} | self.facts["train"]

    @property
    def label_names(self) -> list[str]:
        """The names of classes or labels, in the order of their ids; none for numbers."""
        return self.facts["label_names"] or []

    @property
    def class_counts(self) -> list[int] | None:
        """The number of training examples of each class or label; None for numbers."""
        return self.facts["train"].get("class_counts")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The test split in its order, for `Trainer.predict`."""
        room = 2 * self.tokens_per_batch if self.tokens_per_batch else self.eval_batch_size * self.max_length
        return in_order_loader(self.batches_of("test"), room, bool(self.packed), self.num_workers)

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing."""
        n_labels = len(self.label_names) if self.facts.get("problem") == "labels" else None
        return partial(collate_classification, n_labels=n_labels, **self.padding)


class IMDBDataModule(TextClassificationDataModule):
    """IMDB film reviews (Maas et al. 2011), from the Hub or a copy at `path`: parquet or the aclImdb tree."""

    def __init__(self, path: str = "stanfordnlp/imdb", **kwargs: Any) -> None:
        super().__init__(path=path, **kwargs)
