"""The data modules of a masked language model: sentences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_nlp.data.base import MOST, TextDataModule
from lightning_nlp.data.batches.loader import Batch
from lightning_nlp.data.batches.masking import collate_mlm
from lightning_nlp.errors import PROGRAM, UserError, check_range

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from lightning_nlp.data.texts.sources import Source


class MaskedLanguageModelingDataModule(TextDataModule):
    """Sentences for a `MaskedLanguageModel`; long ones are split. For arguments not listed see `TextDataModule`.

    Args:
        path: Sentence files (one a line, or Leipzig's `id<TAB>sentence`; also .gz), a glob, CSV, TSV, JSONL
            or parquet, a folder, a Hub id, the address of a Leipzig tar.gz, or `demo` for the embedded
            Esperanto. Null downloads the Leipzig corpus epo_literature_2011_300K.
        mlm_probability: The share of tokens to predict.
        mask_token_prob: The share of those that are replaced by [MASK].
        random_token_prob: The share of those that are replaced by a random token; the rest stay unchanged.
        val_fraction: The share of train held out to choose the best checkpoint, if the data has no validation split.
        test_fraction: The same for the test.
        max_tokens: End the training after about this many tokens, padding not counted: whole steps, by the mean of a
            batch. Learning rate and validations are scheduled accordingly. Null sets no limit.
        vocab_size: Maximum number of entries of a tokenizer trained here.
    """

    # On a CPU, sentences of equal length attend in one operation; and each step learns from as many tokens.
    packed_window_batches = 8
    head = "ForMaskedLM"  # of the modules it can train, as in `tasks.Task`

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
        check_range("--data.max_tokens", max_tokens, 1, MOST)
        check_range("--data.mlm_probability", mlm_probability, 0, 1, low_open=True)
        changed = {"mask_token_prob": mask_token_prob, "random_token_prob": random_token_prob}
        for name, share in (changed | {" + --data.".join(changed): sum(changed.values())}).items():
            check_range(f"--data.{name}", share, 0, 1)
        self.masking: dict[str, Any] = {"mlm_probability": mlm_probability, **changed}
        self.max_tokens = max_tokens

    def source(self) -> Source:
        """The texts at `path`."""
        from lightning_nlp.data.texts.sources import text_source

        return text_source(self.path, **self.columns, cache_dir=self.cache_dir, dialect=self.dialect)

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer named by `tokenizer`, which must have a mask token; None trains one."""
        tokenizer = super().given_tokenizer()
        if tokenizer is not None and tokenizer.mask_token_id is None:
            raise UserError(f"The tokenizer {self.tokenizer_name} has no mask token: give another --data.tokenizer.")
        return tokenizer

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, and check that each split has something to predict."""
        super().setup(stage)
        for split, rows in self.token_rows.items():
            batches = self.batches_of(split)
            numbers = np.array_split(np.arange(len(rows.lengths)), -(-len(rows.lengths) // self.batch_size))
            if not any(len(batches[0, part.tolist()]["masked"]) for part in numbers):
                raise UserError(
                    f"Not one token in the {len(rows.lengths)} sentences of {split} is masked, so there is nothing "
                    f"to predict: raise --data.mlm_probability, which is {self.masking['mlm_probability']}, hold out "
                    "more (--data.val_fraction, --data.test_fraction), or give more or longer sentences."
                )

    def limit_steps(self, trainer: Any) -> None:
        """Make `max_tokens` the Trainer's `max_steps`, unless that ends the run sooner."""
        if self.max_tokens is not None:
            in_step = self.tokens_in_batch * trainer.world_size * trainer.accumulate_grad_batches
            steps = max(1, round(self.max_tokens / in_step))
            if trainer.max_steps < 0 or steps < trainer.max_steps:
                trainer.fit_loop.epoch_loop.max_steps = steps

    @property
    def tokens_in_batch(self) -> float:
        """The mean number of tokens in a training batch of a process, padding not counted."""
        batching = self.training_plan().batching
        return float(batching.lengths.sum()) / (batching.steps * batching.world_size)

    def predict_dataloader(self) -> Any:
        """None: a masked language model predicts for texts with [MASK]."""
        raise UserError(
            "A masked language model predicts for texts with [MASK]: give Trainer.predict a DataLoader of them, or use "
            f"`{PROGRAM} predict --run RUN --input FILE`."
        )

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing, and masking."""
        special_ids = torch.tensor(sorted(self.tokenizer.all_special_ids))
        vocabulary = torch.arange(len(self.tokenizer))
        return partial(
            collate_mlm,
            seed=seed,
            special_ids=special_ids,
            word_ids=vocabulary[~torch.isin(vocabulary, special_ids)],
            mask_token_id=self.tokenizer.mask_token_id,
            **self.masking,
            **self.padding,
        )


class EsperantoDataModule(MaskedLanguageModelingDataModule):
    """Esperanto literature, by default the Leipzig corpus epo_literature_2011_300K."""

    def __init__(self, path: str | None = None, **kwargs: Any) -> None:
        super().__init__(path=path, **kwargs)
