"""Sentences with a tag for each word, out of CoNLL columns, JSONL, parquet, the Hub or the demo.

A row's text is its words with one space between two, and its label is its tags alike. So hashes, held-out
parts, repeats and leaks are those of texts.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from lightning_nlp.data.texts.columns import Row, as_row, check_columns
from lightning_nlp.data.texts.dialect import UTF8, Dialect
from lightning_nlp.data.texts.files import describe, find_files, hash_files, is_saved, local_path
from lightning_nlp.data.texts.hub_texts import from_hub, load_saved
from lightning_nlp.data.texts.layout import name_splits
from lightning_nlp.data.texts.lines import read_lines
from lightning_nlp.data.texts.readers import BATCH_ROWS, class_labels, file_format, table_cells
from lightning_nlp.data.texts.source import Source
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError

COLUMNS = (".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes", ".tsv", ".txt")
TAG_COLUMN = "ner_tags"  # of a table
CONLLU = 10  # columns: ID, FORM, LEMMA, UPOS, ...
DEMO_SENTENCES = {"train": (6_000, 0), "test": (1_000, 1)}  # number and seed
_SPACE = re.compile(r"[ \t\r\n]+")
_INITIALS = re.compile(r"(?:\w\.){2,}")  # "U.S." keeps its last mark


def tagged_source(
    path: str,
    *,
    text_column: str = "tokens",
    tag_column: str | int | None = None,
    group_column: str | None = None,
    drop_incomplete: bool = False,
    dialect: Dialect = UTF8,
) -> Source:
    """Find and hash the sentences of a `TokenClassificationDataModule`, by its arguments; no row is read yet.

    Raises:
        UserError: If `path` names nothing, or nothing of a format that is read here.
    """
    columns = {"text": text_column, "tag": str(TAG_COLUMN if tag_column is None else tag_column)}
    columns |= {} if group_column is None else {"group": group_column}
    how = {**columns, "tag_column": tag_column, "drop_incomplete": drop_incomplete, **asdict(dialect)}
    settings: dict[str, Any] = {"labelled": True, "form": LabelForm("tags"), "label_option": "--data.tag_column"}
    settings |= {"missing_labels": (), "drop_incomplete": drop_incomplete}
    if path == "demo":
        from lightning_nlp.data.texts import demo_tags

        return Source(
            description="demo (generated sentences with names)",
            fingerprint=hash_files([("demo", Path(demo_tags.__file__))], {"sizes": DEMO_SENTENCES}),
            splits={split: partial(_read_demo, demo_tags.demo_tags, split) for split in DEMO_SENTENCES},
            **settings,
        )
    files = None if is_saved(path) else find_files(path, labelled=False, suffixes=(*COLUMNS, ".jsonl", ".parquet"))
    if files is None:
        return _datasets_source(path, columns, how, settings)

    def reader(file: Path) -> Iterator[Row]:
        if file_format(file) in (".jsonl", ".parquet"):
            for place, values in table_cells(file, columns, dialect):
                yield as_tagged(columns, values, f"{file.name}, {place}")
        elif file_format(file) == ".csv":
            raise UserError(
                f"{file} is CSV, which has no lists: save the sentences as CoNLL columns, or as JSONL with "
                f"{text_column} and {columns['tag']}, and give that as --data.path."
            )
        elif group_column is not None:
            raise UserError(f"{file} has no column {group_column!r}: leave out --data.group_column.")
        else:
            yield from read_conll(file, tag_column, dialect.encoding)

    return Source(
        description=describe(path, files),
        fingerprint=hash_files(((split, file) for split, part in files.splits.items() for file in part), how),
        splits={split: partial(_read_files, reader, part) for split, part in files.splits.items()},
        files=files,
        **settings,
    )


def read_conll(path: Path, tag_column: str | int | None = None, encoding: str = "utf-8") -> Iterator[Row]:
    """Read columns, separated by tabs or spaces: a word a line, its tag last, a blank line between sentences.

    With 10 columns and a number in the first word's it is CoNLL-U: words in column 2, parts of speech in 4;
    ranges (1-2) and empty nodes (1.1) are no words. Lines `-DOCSTART-` end a sentence; lines that begin with
    "# " before its first word are comments, except `# TAG` in a file of two columns.

    Args:
        tag_column: The number of the tags' column, from 1; None takes 4 in CoNLL-U, else the last.

    Raises:
        UserError: If a line has other columns than the first, or there is no sentence.
    """
    words, tags = list[str](), list[str]()
    width = word_at = tag_at = first = 0
    tabs = found = False
    for number, line in chain(read_lines(path, encoding), [(0, "")]):
        line = line.rstrip()
        if not line or line.startswith("-DOCSTART-"):
            if words:
                found = True
                yield as_tagged({"text": "", "tag": ""}, (words, tags), f"{path.name}, line {first}")
                words, tags = [], []
            continue
        tabs = tabs if width else "\t" in line
        cells = line.split("\t") if tabs else line.split()
        if line.startswith("# ") and not words and not len(cells) == width == 2:
            continue
        if not width:
            width = len(cells)
            word_at, tag_at = (1, 3) if width == CONLLU and cells[0][:1].isdigit() else (0, width - 1)
            if width > 1 and tag_column is not None:
                tag_at = int(tag_column) - 1 if str(tag_column).isdecimal() else -1
                if not 0 <= tag_at < width or tag_at == word_at:
                    raise UserError(
                        f"--data.tag_column is {tag_column!r}, and {path} has {width} columns without names, the words "
                        f"in {word_at + 1}: give the number of the column with the tags, from 1, or null."
                    )
        if width < 2 or len(cells) != width:
            expected = "a word and its tag" if width < 2 else f"{width} columns, as in the lines before it"
            raise UserError(
                f"The line {line[:60]!r} has {len(cells)} column{'' if len(cells) == 1 else 's'}, not {expected}: "
                f"{path}, line {number}; correct it, or give another --data.path."
            )
        if word_at and not cells[0].isdecimal():
            continue
        first = first if words else number
        words.append(cells[word_at])
        tags.append(cells[tag_at])
    if not found:
        raise UserError(f"{path} holds no sentences: give --data.path a file with a word and its tag in each line.")


def as_tagged(
    columns: dict[str, str], values: Sequence[Any], where: str, names: dict[Any, str | None] | None = None
) -> Row:
    """A row out of its cells, in the order of the columns `text`, `tag` and maybe `group`.

    Args:
        names: The tags' names by their numbers, if numbers were written.

    Raises:
        UserError: If there is not one tag for each word, or what is there is no tag.
    """
    cells = dict(zip(columns, values, strict=True))
    lists = {kind: [] if cells[kind] is None else cells[kind] for kind in ("text", "tag")}
    for kind, cell in lists.items():
        if not isinstance(cell, list) or (kind == "text" and not all(isinstance(word, str) for word in cell)):
            what = "words" if kind == "text" else "tags"
            raise UserError(
                f"The {what} are {cell!r:.60}, not a list of strings: {where}; give another --data.{kind}_column."
            )
    words, tags = lists["text"], [(names or {}).get(tag, tag) for tag in lists["tag"]]
    if len(words) != len(tags):
        raise UserError(
            f"There are {len(words)} words and {len(tags)} tags: {where}; correct it, or give another "
            "--data.tag_column."
        )
    for word, tag in zip(words, tags, strict=True):
        if isinstance(tag, int):
            raise UserError(
                f"The tags are numbers without names, {tag} for {word!r}: {where}; write names, or give parquet or "
                "a folder written by `datasets` whose features have them."
            )
        if not isinstance(tag, str) or not tag or _SPACE.search(tag):
            raise UserError(f"The tag of {word!r} is {tag!r}, not a word: {where}; give it a name without spaces.")
    # a space within a word becomes one that does not break, which tokenizers read as a space
    text = " ".join(_SPACE.sub("\u00a0", word) for word in words)
    group = {"group": cells["group"]} if "group" in cells else {}
    row = as_row({"text": "", **dict.fromkeys(group, "")}, [text, *group.values()], where)
    return row._replace(label=" ".join(tags) or None)


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words of an untagged text begin and end: at white space, and outer marks are words of their own.

    Corpora separate "(", "," and the last "." of a sentence, but neither "don't" nor "U.S.".
    """
    spans = list[tuple[int, int]]()
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        while start < end and _is_mark(text[start]):
            spans.append((start, start + 1))
            start += 1
        last = end
        while last > start and _is_mark(text[last - 1]) and not _INITIALS.fullmatch(text, start, last):
            last -= 1
        spans += [(start, last)] if last > start else []
        spans += [(at, at + 1) for at in range(last, end)]
    return spans


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _read_files(reader: Callable[[Path], Iterator[Row]], files: Iterable[Path]) -> Iterator[Row]:
    return chain.from_iterable(map(reader, files))


def _read_demo(generate: Callable[[int, int], Iterable[Any]], split: str) -> Iterator[Row]:
    for index, pair in enumerate(generate(*DEMO_SENTENCES[split])):
        yield as_tagged({"text": "", "tag": ""}, pair, f"demo, {split}, row {index} (from 0)")


def _datasets_source(path: str, columns: dict[str, str], how: dict[str, Any], settings: dict[str, Any]) -> Source:
    """What `datasets` loads: from the Hub, or from a folder that it saved."""
    from datasets import ClassLabel, load_dataset

    loaded = load_saved(local_path(path)) if is_saved(path) else from_hub(path, load_dataset)
    name, parts = describe(path, None), name_splits(loaded)
    if not parts.splits.get("train"):
        raise UserError(f"The data set {name} has no split train, only {', '.join(loaded)}: give another --data.path.")
    for part in chain.from_iterable(parts.splits.values()):
        check_columns(columns, loaded[part].column_names, f"{name}, {part}")
    feature = getattr(loaded[parts.splits["train"][0]].features[columns["tag"]], "feature", None)
    names = tuple(feature.names) if isinstance(feature, ClassLabel) else None

    def read(part: str) -> Iterator[Row]:
        batches = loaded[part].select_columns([*columns.values()]).iter(BATCH_ROWS)
        rows = chain.from_iterable(zip(*map(batch.get, columns.values()), strict=True) for batch in batches)
        for index, values in enumerate(rows):
            yield as_tagged(columns, values, f"{name}, {part}, row {index} (from 0)", class_labels(names or ()))

    used = {part: loaded[part]._fingerprint for split in parts.splits.values() for part in split}
    return Source(
        description=name,
        fingerprint=hashlib.sha256(json.dumps([how, used]).encode()).hexdigest(),
        splits={
            split: partial(lambda part: chain.from_iterable(map(read, part)), p) for split, p in parts.splits.items()
        },
        label_names=names,
        files=parts,
        **settings,
    )
