"""The half of a data module that finds, cleans and tokenizes texts once, and remembers which they were."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.texts.cleaning import WARNING
from lightning_nlp.data.texts.dialect import Dialect
from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.texts.targets import numbered
from lightning_nlp.data.tokens.encoding import Truncation
from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer, warn_of_case
from lightning_nlp.data.tokens.preparation import Cleaning, TokenizerTraining, prepare_tokens
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.trained_on import Record, check_record, own_cache
from lightning_nlp.errors import warn_user
from lightning_nlp.privacy import paths_with_tilde

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PreparedTexts(LightningDataModule):
    """Texts as token ids in a cache; `TextDataModule` takes the arguments and makes batches of them."""

    path: str | None
    text_column: Any  # a name; of pairs a list of two
    group_column: str | None
    dialect: Dialect
    cleaning: Cleaning
    tokenizer_name: str | None
    tokenizer_training: TokenizerTraining
    max_length: int
    truncation: Truncation | None = None  # how long texts are cut; None splits them
    cache_dir: Path
    tokenizer: PreTrainedTokenizerFast  # from here on known after `setup`
    token_rows: dict[str, TokenRows]  # by split
    facts: dict[str, Any]  # counts and names
    folder: Path | None = None  # of the cache, once it is known
    _trained_on: Record | None = None

    def source(self) -> Source:
        """Where the texts come from."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that decide on texts and token ids, by name."""
        where = {name: getattr(self, name) for name in ("path", "text_column", "group_column")}
        tokens = {"tokenizer": self.tokenizer_name, "max_length": self.max_length}
        training = asdict(self.tokenizer_training) if self.tokenizer_name is None else {}
        return where | asdict(self.dialect) | asdict(self.cleaning) | tokens | training

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer that `tokenizer_name` names; None trains one."""
        if self.tokenizer_name is None:
            return None
        tokenizer = load_tokenizer(self.tokenizer_name)
        warn_of_case(tokenizer, self.tokenizer_name)
        return tokenizer

    def prepare_data(self) -> None:
        """Download, clean, train the tokenizer and tokenize what the cache lacks; on one process."""
        if self.folder is not None:  # the test at the end of a fit reads the data of the fit
            return
        if self.tokenizer_name is None and self.trainer is not None:  # a pretrained model brings its own
            self.tokenizer_name = getattr(self.trainer.lightning_module, "hparams", {}).get("pretrained")
        source, own = self.source(), own_cache(self._trained_on, self.settings, self.cache_dir)
        self.folder = prepare_tokens(
            source,
            self.cache_dir,
            cleaning=self.cleaning,
            tokenizer=self.given_tokenizer(),
            training=self.tokenizer_training,
            max_length=self.max_length,
            truncation=self.truncation,
            own=own,
        )
        facts = self._read_facts(self.folder)
        if self.folder == own and facts["fingerprint"] != source.fingerprint:
            texts = "held-out texts" if facts.get("streamed") else "texts"
            warn_user(
                f"{source.description} has changed since this run began: its own {texts} are used, from "
                f"the token cache ({own}); for the new ones, begin a new run."
            )
        for line in (*source.lines(), *facts["cleaning"]):
            (warn_user if line.startswith(WARNING) else rank_zero_info)(line)
        if (names := facts["label_names"]) is not None:
            counts = dict(zip(names, facts["train"]["class_counts"], strict=True))
            what = "labels" if facts.get("problem") == "labels" else "classes"
            rank_zero_info(f"{len(names)} {what}, with their number in train: {numbered(counts)}")

        if "mean" in (train := facts["train"]):
            rank_zero_info(
                f"Numbers in train: {train['low']:.4g} to {train['high']:.4g}, mean {train['mean']:.4g}, standard "
                f"deviation {train['std']:.4g}"
            )

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        return json.loads((folder / "facts.json").read_text(encoding="utf-8"))

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, memory-mapped."""
        from transformers import AutoTokenizer

        if self.token_rows:
            return
        if self.folder is None:
            self.prepare_data()  # another process has filled the cache: this finds it
        assert self.folder is not None
        # completed and checked by `load_tokenizer` before it was cached
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer", trust_remote_code=False)
        self.tokenizer.model_max_length = self.max_length  # the network may have no more positions
        self.facts = self._read_facts(self.folder)
        self.token_rows |= {name: TokenRows(self.folder / f"{name}.arrow") for name in SPLITS}
        if self._trained_on is not None:
            self._check_record()

    def record(self) -> Record:
        """What a checkpoint keeps of its data, as plain types and tensors: it loads with `weights_only`."""
        texts = {split: rows.texts() for split, rows in self.token_rows.items()}
        return {
            "folder": self.fingerprint,
            "settings": paths_with_tilde(self.settings),
            **{name: self.facts.get(name) for name in ("source", "label_names", "problem", "streamed")},
            "texts": texts if all(texts.values()) else None,
        }

    def go_on_from(self, record: Record | None) -> None:
        """Take the record of a checkpoint, so that nothing it was trained on is measured as if it were new.

        Before `prepare_data`, it lets that read the checkpoint's own token cache if the settings are equal.

        Raises:
            UserError: If the checkpoint must not meet these data (see `check_record`).
        """
        if (known := self._trained_on) is not None and (record is None or record["folder"] == known["folder"]):
            return
        self._trained_on = record
        if self.token_rows:
            self._check_record()

    def _check_record(self) -> None:
        if self.trainer is not None:
            check_record(self._trained_on, self.record(), getattr(self.trainer.state.fn, "value", None))

    @property
    def paired(self) -> bool:
        """Whether each example is a pair of texts."""
        return isinstance(self.text_column, list)

    @property
    def reading(self) -> dict[str, Any]:
        """How a text becomes token ids, for predictions with the trained network."""
        reading = {"max_length": self.max_length, "clean": self.cleaning.clean, "truncation": self.truncation}
        reading["text_column"] = self.text_column if self.paired else None  # the order of two texts
        return {name: value for name, value in reading.items() if value is not None}

    @property
    def fingerprint(self) -> str:
        """The key of the token cache: it depends on texts, cleaning, tokenizer and lengths. Known after `setup`."""
        assert self.folder is not None
        return self.folder.name

    @property
    def chars_per_token(self) -> dict[str, float]:
        """Characters, spaces included, per token without specials, by split."""
        return {name: self.facts[name]["characters"] / max(self.facts[name]["tokens"], 1) for name in SPLITS}
