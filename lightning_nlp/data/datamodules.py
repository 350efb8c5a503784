"""The data modules: labelled texts for a classifier, sentences for a masked language model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from lightning_nlp.data.base import TextDataModule, check_numbers
from lightning_nlp.data.batches.budget import cut
from lightning_nlp.data.batches.collators import collate_classification, collate_mlm
from lightning_nlp.data.batches.loader import Batch, Batches
from lightning_nlp.data.texts.sources import Source, labelled_source, text_source
from lightning_nlp.data.tokens.encoding import Truncation
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class TextClassificationDataModule(TextDataModule):
    """Labelled texts for a `SequenceClassifier`. Arguments not listed are those of `TextDataModule`.

    Args:
        path: A CSV, TSV, JSONL or parquet file, a glob, a folder where names of files or folders tell the split or the
            class, a Hub id, or `demo` for the embedded reviews. Parts of train are held out where splits are missing.
        label_column: The column with the label, numbers or words.
        truncation: What is kept of a text longer than `max_length`: `head` keeps its beginning, `head_tail` a quarter
            from its beginning and the rest from its end.
        drop_incomplete: Drop rows without text or label instead of stopping at them.
        missing_labels: Labels that stand for a missing one, such as [-1]; [] takes all as classes. Null takes
            nan, None, NULL, N/A, ?, - and the like, and asks about -1 beside 0, 1, ...
    """

    def __init__(
        self,
        path: str,
        *,
        label_column: str = "label",
        truncation: Truncation = "head",
        drop_incomplete: bool = False,
        missing_labels: list[str | int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(path, **kwargs)
        self.truncation = truncation
        self.label_column = label_column
        self.drop_incomplete = drop_incomplete
        self.missing_labels = missing_labels

    def source(self) -> Source:
        """The labelled texts at `path`."""
        assert self.path is not None
        return labelled_source(
            self.path,
            text_column=self.text_column,
            label_column=self.label_column,
            group_column=self.group_column,
            drop_incomplete=self.drop_incomplete,
            missing_labels=self.missing_labels,
            dialect=self.dialect,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that decide which texts there are, their labels and token ids."""
        names = ("label_column", "drop_incomplete", "missing_labels", "truncation")
        return super().settings | {name: getattr(self, name) for name in names}

    @property
    def label_names(self) -> list[str]:
        """The classes' names, in the order of their ids."""
        return self.facts["label_names"]

    @property
    def class_counts(self) -> list[int]:
        """The number of training examples of each class."""
        return self.facts["train"]["class_counts"]

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The test split in its order, for `Trainer.predict`."""
        lengths = self.token_rows["test"].lengths
        room = 2 * self.tokens_per_batch if self.tokens_per_batch else self.eval_batch_size * self.max_length
        batches = cut(lengths, np.arange(len(lengths)), room, packed=bool(self.packed))
        collated = Batches(self.token_rows["test"], self.collate_function(self.split_seed))
        keys = [(0, rows.tolist()) for rows in batches]
        return DataLoader(collated, sampler=keys, batch_size=None, num_workers=self.num_workers)

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing alone."""
        return partial(
            collate_classification,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            packed=bool(self.packed),
        )


class IMDBDataModule(TextClassificationDataModule):
    """IMDB film reviews (Maas et al. 2011), from the Hub or from a copy at `path`: parquet or the aclImdb tree."""

    def __init__(self, path: str = "stanfordnlp/imdb", **kwargs: Any) -> None:
        super().__init__(path=path, **kwargs)


class MaskedLanguageModelingDataModule(TextDataModule):
    """Sentences for a `MaskedLanguageModel`; long ones are split. Arguments not listed are those of `TextDataModule`.

    Args:
        path: Sentence files (one a line, or Leipzig's `id<TAB>sentence`; also .gz), a glob, CSV, TSV, JSONL
            or parquet, a folder, a Hub id, the address of a Leipzig tar.gz, or `demo` for the embedded
            Esperanto. Null downloads the Leipzig corpus epo_literature_2011_300K.
        mlm_probability: The share of tokens to predict.
        mask_token_prob: The share of those that becomes [MASK].
        random_token_prob: The share of those that becomes a random word; the rest stays as it is.
        val_fraction: The share of train held out to choose the best checkpoint, if the data has no validation split.
        test_fraction: The same for the test.
        max_tokens: End the training after about this many tokens, padding not counted: whole steps, by the mean of a
            batch. Learning rate and validations are scheduled by it. Null sets no such end.
        vocab_size: The most entries of a tokenizer that is trained here.
    """

    # Sentences of equal length attend in one operation on a CPU, and each step learns from as many tokens.
    packed_window_batches = 8

    def __init__(
        self,
        path: str | None,
        *,
        mlm_probability: float = 0.15,
        mask_token_prob: float = 0.8,
        random_token_prob: float = 0.1,
        val_fraction: float = 0.02,
        test_fraction: float = 0.02,
        max_tokens: int | None = None,
        vocab_size: int = 50_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(path, val_fraction=val_fraction, test_fraction=test_fraction, vocab_size=vocab_size, **kwargs)
        check_numbers(1, max_tokens=max_tokens)
        shares = {"mlm_probability": mlm_probability, "mask_token_prob": mask_token_prob}
        shares |= {"random_token_prob": random_token_prob}
        shares |= {"mask_token_prob + random_token_prob": mask_token_prob + random_token_prob}
        for name, share in shares.items():
            if not 0 <= share <= 1 or mlm_probability == 0:
                raise UserError(f"--data.{name} must lie between 0 and 1 (the first above 0), not {share}.")
        self.max_tokens = max_tokens
        self.mlm_probability = mlm_probability
        self.mask_token_prob = mask_token_prob
        self.random_token_prob = random_token_prob

    def source(self) -> Source:
        """The texts at `path`."""
        return text_source(
            self.path,
            text_column=self.text_column,
            group_column=self.group_column,
            cache_dir=self.cache_dir,
            dialect=self.dialect,
        )

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer that `tokenizer` names, which must be able to hide words; None trains one."""
        tokenizer = super().given_tokenizer()
        if tokenizer is not None and tokenizer.mask_token_id is None:
            raise UserError(
                f"The tokenizer {self.tokenizer_name} has no mask token, so no word can be hidden: give another "
                "--data.tokenizer."
            )
        return tokenizer

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, and make sure that each split has something to predict: usually its first batch has."""
        super().setup(stage)
        for split, rows in self.token_rows.items():
            batches = Batches(rows, self.collate_function(self.seed if split == "train" else self.split_seed))
            numbers = np.array_split(np.arange(len(rows.lengths)), -(-len(rows.lengths) // self.batch_size))
            if not any(len(batches[0, part.tolist()]["masked"]) for part in numbers):
                raise UserError(
                    f"Not one token of the {len(rows.lengths)} sentences of {split} is masked, so there is nothing to "
                    f"predict: raise --data.mlm_probability, which is {self.mlm_probability}, hold out "
                    "more (--data.val_fraction, --data.test_fraction), or give more or longer sentences."
                )

    @property
    def tokens_in_batch(self) -> float:
        """The mean number of tokens in a training batch of a process, padding not counted."""
        batching = self.training_plan().batching
        return float(batching.lengths.sum()) / (batching.steps * batching.world_size)

    def predict_dataloader(self) -> Any:
        """There is none: the test measures the masks of its texts."""
        raise UserError(
            "A masked language model predicts for texts with [MASK]: give Trainer.predict a DataLoader of such, or use "
            "`python train.py predict --run RUN --input FILE`."
        )

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing, and masking."""
        special_ids = torch.tensor(sorted(self.tokenizer.all_special_ids))
        vocabulary = torch.arange(len(self.tokenizer))
        return partial(
            collate_mlm,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            seed=seed,
            special_ids=special_ids,
            word_ids=vocabulary[~torch.isin(vocabulary, special_ids)],
            mask_token_id=self.tokenizer.mask_token_id,
            mlm_probability=self.mlm_probability,
            mask_token_prob=self.mask_token_prob,
            random_token_prob=self.random_token_prob,
            packed=bool(self.packed),
        )


class EsperantoDataModule(MaskedLanguageModelingDataModule):
    """Esperanto literature, by default the Leipzig corpus epo_literature_2011_300K."""

    def __init__(self, path: str | None = None, **kwargs: Any) -> None:
        super().__init__(path=path, **kwargs)
