"""Finds, cleans and tokenizes texts once, and records in each checkpoint which they were."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.cache import cached_folder
from lightning_nlp.data.settings import SPLITS, WARNING, Cleaning, Dialect, TokenizerTraining, Truncation
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.privacy import paths_with_tilde

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from lightning_nlp.data.texts.sources import Source
    from lightning_nlp.data.tokens.rows import TokenRows
    from lightning_nlp.data.trained_on import Record

TOKEN_FORMAT = 5  # increase it when the folders' content changes: old ones are then used only by their own runs


class PreparedTexts(LightningDataModule):
    """Token ids in a cache; `TextDataModule` has the arguments and makes batches."""

    takes_pairs = False
    path: str | None
    text_column: Any  # a name, or for pairs a list of two
    group_column: str | None
    source_settings: dict[str, Any]  # other arguments of the function that finds the source
    cleaning: Cleaning
    tokenizer_name: str | None
    tokenizer_training: TokenizerTraining
    max_length: int
    truncation: Truncation | None = None  # how long texts are cut; None splits them
    cache_dir: Path
    tokenizer: PreTrainedTokenizerFast  # this and the following: known after `setup`
    token_rows: dict[str, TokenRows]  # by split
    facts: dict[str, Any]  # counts and names
    folder: Path | None = None  # of the cache, once it is known
    _dialect: tuple[str, str | None, bool]
    _trained_on: Record | None = None

    def source(self) -> Source:
        """Where the texts come from."""
        raise NotImplementedError

    @property
    def dialect(self) -> Dialect:
        """How text files are written."""
        return Dialect(*self._dialect)

    @property
    def columns(self) -> dict[str, Any]:
        """Where a table has the texts and their groups."""
        return {"text_column": self.text_column, "group_column": self.group_column}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that determine texts and token ids, by name."""
        where = {"path": self.path} | self.columns | self.source_settings
        tokens = {"tokenizer": self.tokenizer_name, "max_length": self.max_length}
        tokens |= {"truncation": self.truncation} if self.truncation else {}
        training = asdict(self.tokenizer_training) if self.tokenizer_name is None else {}
        return where | asdict(self.dialect) | asdict(self.cleaning) | tokens | training

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer named by `tokenizer_name`; None trains one."""
        if self.tokenizer_name is None:
            return None
        if not self.tokenizer_training.lowercase:
            raise UserError(
                f"--data.lowercase false is for a tokenizer trained here, and --data.tokenizer is "
                f"{self.tokenizer_name}: leave it out; do_lower_case in that tokenizer's tokenizer_config.json decides."
            )
        from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer

        return load_tokenizer(self.tokenizer_name)

    def prepare_data(self) -> None:
        """Download, clean, train the tokenizer and tokenize what the cache lacks, in one process."""
        if self.folder is not None:  # the test at the end of a fit uses the data of the fit
            return
        if not self.takes_pairs and (self.paired or self.text_column.startswith("[")):
            column = f"[{', '.join(self.text_column)}]" if self.paired else self.text_column
            what = f"--data.text_column is {column}, and pairs of texts are for a TextClassificationDataModule"
            raise UserError(f"{what}: give the name of one column.")
        if self.tokenizer_name is None and self.trainer is not None:  # a pretrained model brings its own
            self.tokenizer_name = getattr(self.trainer.lightning_module, "hparams", {}).get("pretrained")
        source, own = self.source(), None
        if self._trained_on is not None:
            from lightning_nlp.data.trained_on import own_cache

            own = own_cache(self._trained_on, self.settings, self.cache_dir)
        made = (self.cleaning, self.given_tokenizer(), self.tokenizer_training, self.max_length, self.truncation)
        self.folder = token_folder(source, self.cache_dir, *made, own=own)
        facts = self._read_facts(self.folder)
        if self.folder == own and facts["fingerprint"] != source.fingerprint:
            texts = "held-out texts" if facts.get("streamed") else "texts"
            warn_user(
                f"{source.description} has changed since this run began: the run's own {texts} are used, from "
                f"the token cache ({own}); to use the new ones, begin a new run."
            )
        for line in (*source.lines(), *facts["cleaning"], *label_lines(facts)):
            (warn_user if line.startswith(WARNING) else rank_zero_info)(line)

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        raise NotImplementedError

    def record(self) -> Record:
        """What a checkpoint records of its data, as plain types and tensors that load with `weights_only`."""
        return {
            "folder": self.fingerprint,
            "settings": paths_with_tilde(self.settings),
            **{name: self.facts.get(name) for name in ("source", "label_names", "problem", "streamed")},
            "texts": {split: rows.texts() for split, rows in self.token_rows.items()},
        }

    def go_on_from(self, record: Record | None) -> None:
        """Set the record of a checkpoint, so that nothing it was trained on is evaluated as new.

        Before `prepare_data`, this selects the checkpoint's own token cache if the settings are equal.

        Raises:
            UserError: If the checkpoint must not be used with these data (see `check_record`).
        """
        if (known := self._trained_on) is not None and (record is None or record["folder"] == known["folder"]):
            return
        self._trained_on = record
        if self.token_rows:
            self._check_record()

    def _check_record(self) -> None:
        if self.trainer is not None:
            from lightning_nlp.data.trained_on import check_record

            check_record(self._trained_on, self.record(), getattr(self.trainer.state.fn, "value", None))

    @property
    def paired(self) -> bool:
        """Whether each example is a pair of texts."""
        return isinstance(self.text_column, list)

    @property
    def reading(self) -> dict[str, Any]:
        """How a text becomes token ids, for predictions with the trained network."""
        reading = {"max_length": self.max_length, "clean": self.cleaning.clean, "truncation": self.truncation}
        reading["text_column"] = self.text_column if self.paired else None  # the order of the two texts
        return {name: value for name, value in reading.items() if value is not None}

    @property
    def fingerprint(self) -> str:
        """The token cache's key, from texts, cleaning, tokenizer and lengths. Known after `setup`."""
        assert self.folder is not None
        return self.folder.name

    @property
    def chars_per_token(self) -> dict[str, float]:
        """Characters, spaces included, per token, special tokens not counted, by split."""
        return {name: self.facts[name]["characters"] / max(self.facts[name]["tokens"], 1) for name in SPLITS}


def token_folder(
    source: Source,
    cache_dir: Path,
    cleaning: Cleaning,
    tokenizer: PreTrainedTokenizerFast | None,
    training: TokenizerTraining,
    max_length: int,
    truncation: Truncation | None,
    *,
    own: Path | None = None,
) -> Path:
    """The folder of a source's token ids, cached or written by `write_folder`, which documents the arguments.

    Args:
        own: The folder that a run began with, as for `cached_folder`.
    """
    tokenizer_key: Any = {"trained": asdict(training)}
    special_tokens = None
    if tokenizer is not None:
        from lightning_nlp.hub.pretrained import tokenizer_hash

        tokenizer_key = tokenizer_hash(tokenizer)
        special_tokens = {role: str(token) for role, token in tokenizer.special_tokens_map.items()}  # not in the hash
    key = {
        "format": TOKEN_FORMAT,
        "source": source.fingerprint,
        "cleaning": asdict(cleaning),
        "tokenizer": tokenizer_key,
        "special_tokens": special_tokens,
        "max_length": max_length,
        "truncation": truncation,
    }

    def build(folder: Path) -> None:
        from lightning_nlp.data.tokens.preparation import write_folder

        write_folder(folder, source, cleaning, tokenizer, training, max_length, truncation)

    return cached_folder(cache_dir, key, build, own)


def label_lines(facts: dict[str, Any]) -> list[str]:
    """Describe how often train has each label, or its numbers."""
    train, names = facts["train"], facts["label_names"]
    if "mean" in train:
        return [
            f"Numbers in train: {train['low']:.4g} to {train['high']:.4g}, mean {train['mean']:.4g}, standard "
            f"deviation {train['std']:.4g}"
        ]
    if names is None:
        return []
    from lightning_nlp.data.texts.sources import numbered

    noun = "labels" if facts.get("problem") == "labels" else "classes"
    counts = dict(zip(names, train["class_counts"], strict=True))
    return [f"{len(names)} {noun}, with their number in train: {numbered(counts)}"]
