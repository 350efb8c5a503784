"""A folder made by export, and a file of texts: predictions in the order of the texts."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
import yaml

from lightning_nlp import runs
from lightning_nlp.data.cleaning import clean_text
from lightning_nlp.data.collators import pad_sequences
from lightning_nlp.data.preparation import Truncation, encode
from lightning_nlp.data.readers import TABLES, file_format, read_lines, read_table
from lightning_nlp.errors import UserError
from lightning_nlp.models.mlm import head_on_positions

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

# Texts read, sorted by length and predicted at a time: enough for batches without padding, in a fixed memory.
WINDOW = 2048

Record = dict[str, Any]


def add_predict_arguments(parser: ArgumentParser) -> None:
    """The arguments of `predict`.

    Args:
        parser: Where to add them.
    """
    parser.add_argument("--run", type=str, required=True, help="A run's directory, such as runs/cls/0.")
    parser.add_argument("--input", type=str, required=True, help="Lines of text, CSV, TSV or JSONL; - for stdin.")
    parser.add_argument("--output", type=str, required=True, help="The JSONL file to write; - for stdout.")
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace the output if it exists.")
    parser.add_argument("--text_column", type=str, default="text", help="The column of a CSV, TSV or JSONL input.")
    parser.add_argument("--batch_size", type=int, default=16, help="Texts at a time.")
    parser.add_argument("--top_k", type=int, default=5, help="Fillings for each [MASK].")
    parser.add_argument("--debug", type=bool, default=False, help="Show the traceback of an error.")


def predict(
    run: str,
    input: str,
    output: str,
    overwrite: bool = False,
    text_column: str = "text",
    batch_size: int = 16,
    top_k: int = 5,
) -> None:
    """Write a prediction for each text of a file, in order; the file may be larger than memory.

    The texts are cleaned and cut as those of the training were.

    Args:
        run: A run's directory, whose export is used.
        input: A file of lines, CSV, TSV or JSONL, or `-` for lines from stdin.
        output: The JSONL file, written whole or not at all, or `-` for stdout. A line has `index` (of the text, from
            0) and `label` with `probabilities`, or for a masked language model `fillings`: for each [MASK] the best
            tokens with their probabilities. A text without words has `label` null.
        overwrite: Whether to replace an existing output.
        text_column: The column of a CSV, TSV or JSONL input.
        batch_size: Texts at a time.
        top_k: Fillings for each [MASK].

    Raises:
        UserError: If the run has no export, the input cannot be read, or the output exists.
    """
    folder = runs.existing_run(run) / "export"
    if not folder.is_dir():
        raise UserError(
            f"The run {run} has no export ({folder}): its training did not end. Go on with its fit command and "
            "--ckpt_path last."
        )
    for name, value in (("batch_size", batch_size), ("top_k", top_k)):
        if value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}.")
    if output != "-" and Path(output).exists():
        if not Path(output).is_file():  # a folder, or a device such as /dev/null, which must not be replaced
            raise UserError(f"--output {output} exists and is no file: give a file, or - for stdout.")
        if not overwrite:
            raise UserError(f"--output {output} exists already: give another file, or --overwrite true to replace it.")
    texts = input_texts(input, text_column=text_column)
    first = list(islice(texts, WINDOW))  # reads the input's beginning: what is wrong there shows before the model loads
    predictor = load_predictor(folder, read_data_settings(Path(run)), batch_size=batch_size, top_k=top_k)
    with _open_output(output) as file:
        while first:
            for record in predictor(first):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            first = list(islice(texts, WINDOW))


def input_texts(input: str, text_column: str) -> Iterator[tuple[int, str]]:
    """The texts of a file or of stdin, each with its index from 0; a blank line counts as a text.

    Args:
        input: A file of lines, CSV, TSV, JSONL or parquet, or `-`.
        text_column: The column of a file that has columns.

    Yields:
        (index, text).

    Raises:
        UserError: If the file is not there or cannot be read.
    """
    try:
        if input == "-":
            _make_utf8(sys.stdin, "utf-8-sig")
            yield from enumerate(line.rstrip("\n") for line in sys.stdin)
        elif not Path(input).is_file():
            raise UserError(f"--input {input}: there is no such file.")
        elif file_format(Path(input)) in TABLES:
            yield from enumerate(row.text for row in read_table(Path(input), text_column))
        else:
            yield from enumerate(line.rstrip("\r\n") for _, line in read_lines(Path(input)))
    except UnicodeDecodeError as error:  # of stdin; the readers have their own message
        raise UserError(
            f"stdin is not UTF-8 (byte 0x{error.object[error.start]:02x}): convert it, for example with "
            "`iconv -f latin1 -t utf-8`, before it comes to --input -."
        ) from error
    except UserError as error:  # the readers speak of training data
        message = str(error).replace("--data.path", "--input").replace("--data.text_column", "--text_column")
        raise UserError(message) from error


def read_data_settings(run: Path) -> dict[str, Any]:
    """The data arguments that a run was trained with."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return config["data"]["init_args"]


def load_predictor(
    folder: Path, settings: dict[str, Any], *, batch_size: int, top_k: int
) -> Callable[[list[tuple[int, str]]], Iterator[Record]]:
    """A function from (index, text) pairs to records in the same order.

    Args:
        folder: An export.
        settings: The run's data arguments: `max_length`, `truncation` and `clean` count.
        batch_size: Texts at a time.
        top_k: Fillings for each [MASK].

    Returns:
        The function.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of the second that reading the weights takes
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    fills_masks = config.architectures[0].endswith("ForMaskedLM")
    auto_class = AutoModelForMaskedLM if fills_masks else AutoModelForSequenceClassification
    network = auto_class.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    max_length, truncation = settings["max_length"], settings.get("truncation", "head")
    # A text must look as those that the network was trained on; UTF-8, and so the tokenizer, has no lone surrogates.
    prepare = clean_text if settings.get("clean", True) else lambda text: text.encode("utf-8", "replace").decode()

    def predictor(texts: list[tuple[int, str]]) -> Iterator[Record]:
        texts = [(index, prepare(text)) for index, text in texts]
        ids = token_ids(texts, tokenizer, max_length, truncation, needs_mask=fills_masks)
        records: list[Record] = [{"index": index} for index, _ in texts]
        order = sorted((i for i in range(len(ids)) if ids[i]), key=lambda i: -len(ids[i]))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            input_ids, attention_mask = pad_sequences(
                [np.array(ids[i]) for i in batch], padding_value=tokenizer.pad_token_id, max_length=max_length
            )
            is_mask = input_ids == tokenizer.mask_token_id if fills_masks else torch.zeros_like(input_ids)
            positions = is_mask.flatten().nonzero().squeeze(1).to(device)
            with torch.inference_mode(), head_on_positions(network, positions) if fills_masks else nullcontext():
                logits = network(input_ids=input_ids.to(device), attention_mask=attention_mask.to(device)).logits.cpu()
            if fills_masks:
                for row, mask_logits in zip(is_mask.nonzero()[:, 0].tolist(), logits[0], strict=True):
                    records[batch[row]].setdefault("fillings", []).append(fillings(mask_logits, tokenizer, top_k))
            else:
                for i, row_logits in zip(batch, logits, strict=True):
                    records[i] |= classification(row_logits, config.id2label)
        for record, tokens in zip(records, ids, strict=True):
            if not tokens:
                record |= {"label": None, "reason": "the text has no words"}
            yield record

    return predictor


def token_ids(
    texts: list[tuple[int, str]], tokenizer: Any, max_length: int, truncation: Truncation, *, needs_mask: bool
) -> list[list[int]]:
    """Each text's ids with special tokens; empty for a text without words.

    Args:
        texts: (index, text) pairs.
        tokenizer: The export's tokenizer.
        max_length: The most tokens, special tokens included.
        truncation: How a longer text is cut.
        needs_mask: Whether each text must have a [MASK].

    Returns:
        A list for each text.

    Raises:
        UserError: If a text has no [MASK] to fill, or has it where the text is cut off.
    """
    ids, _, lengths = encode([text for _, text in texts], tokenizer, max_length=max_length, truncation=truncation)
    for (index, text), tokens, length in zip(texts, ids, lengths, strict=True):
        if not needs_mask or not length:
            continue
        mask = tokenizer.mask_token
        if mask not in text:
            raise UserError(
                f"The text with index {index}, {text[:60]!r}, has no {mask}: write {mask} where a word is to be "
                "filled in."
            )
        if tokens.count(tokenizer.mask_token_id) < text.count(mask):
            raise UserError(
                f"The text with index {index}, {text[:60]!r}, is cut off before its last {mask}, after {max_length} "
                "tokens: shorten it."
            )
    return [tokens if length else [] for tokens, length in zip(ids, lengths, strict=True)]


def classification(logits: torch.Tensor, id2label: dict[int, str]) -> Record:
    """The best label and the probability of each, from (number of classes,) logits."""
    probabilities = logits.softmax(-1).tolist()
    return {
        "label": id2label[int(logits.argmax())],
        "probabilities": {id2label[i]: probability for i, probability in enumerate(probabilities)},
    }


def fillings(logits: torch.Tensor, tokenizer: Any, top_k: int) -> list[Record]:
    """The best tokens for one [MASK], from (vocabulary,) logits."""
    best = logits.softmax(-1).topk(min(top_k, len(logits)))
    # decoded, because a byte-level vocabulary writes " ĝis" as "ĠÄĿis"
    tokens = [tokenizer.decode([i]) for i in best.indices.tolist()]
    return [{"token": token, "probability": p} for token, p in zip(tokens, best.values.tolist(), strict=True)]


@contextmanager
def _open_output(output: str) -> Iterator[IO[str]]:
    """Stdout, or a file that appears when all of it is written."""
    if output == "-":
        _make_utf8(sys.stdout, "utf-8")
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:  # who reads it, such as `head`, has enough; Python's own flush at exit must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    target = Path(output)
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            yield file
        unfinished.replace(target)
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error.strerror}; give another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _make_utf8(stream: Any, encoding: str) -> None:
    """Read or write UTF-8, as files are, whatever the locale says; a stream without an encoding is left alone."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors="strict")
