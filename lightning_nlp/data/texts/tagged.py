"""Sentences with a tag for each word, from CoNLL columns, JSONL, parquet, the Hub or the demo.

A row's text is its words, joined by single spaces, and its label is its tags, joined likewise. So hashes, splits,
repeats and leaks are handled as for other texts.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from lightning_nlp.data.settings import UTF8, Dialect, LabelForm
from lightning_nlp.data.texts.columns import NoLabelColumn, as_row, name_columns
from lightning_nlp.data.texts.file_source import ReadLabel, make_source
from lightning_nlp.data.texts.files import describe, find_files, hash_files, is_saved
from lightning_nlp.data.texts.hub_texts import datasets_source
from lightning_nlp.data.texts.lines import read_lines
from lightning_nlp.data.texts.readers import file_format, table_cells
from lightning_nlp.data.texts.sources import Row, Source
from lightning_nlp.data.texts.targets import read_label
from lightning_nlp.errors import UserError

COLUMNS = (".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes", ".tsv", ".txt")
LISTS = (".jsonl", ".parquet")
TAGS = LabelForm("tags", missing=())
read_tags = partial(read_label, TAGS)
CONLLU = 10  # columns: ID, FORM, LEMMA, UPOS, ...
_SPACE = re.compile(r"[ \t\r\n]+")
_COMMENT = re.compile(r"#[ \t]")
_TAB, _GAP = re.compile("\t"), re.compile("[ \t]+")  # between columns; words may hold other white space
_NUMBER = re.compile(r"\d+(?:[-.]\d+)?", re.ASCII)  # of a word, a range or an empty node
_MARK, _INNER = r"[\p{P}\p{S}]", r"[^\s\p{P}\p{S}\p{Cc}\p{Cf}]"  # neither white space, marks nor invisible
_INITIALS = rf"(?:\w\.){{2,}}(?={_MARK}*(?:\s|\z))"  # keep their last mark
_WORDS = Split(Regex(rf"{_INITIALS}|{_INNER}(?:\S*{_INNER})?|{_MARK}"), "removed", invert=True)


def tagged_source(
    path: str,
    *,
    text_column: str = "tokens",
    label_column: str | int | None = None,
    group_column: str | None = None,
    drop_incomplete: bool = False,
    dialect: Dialect = UTF8,
) -> Source:
    """Find and hash the sentences of a `TokenClassificationDataModule`, by its arguments; only the first rows are read.

    Raises:
        UserError: If `path` does not exist, or has no supported format.
    """
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(TAGS, group_column)
    columns = name_columns(text_column, str(label_column or "ner_tags"), group_column)
    files = None if is_saved(path) else find_files(path, labelled=False, suffixes=(*COLUMNS, *LISTS))
    if files is None:
        return datasets_source(path, columns, TAGS, as_tagged, drop_incomplete=drop_incomplete)

    def read(file: Path, read_label: ReadLabel) -> Iterator[Row]:
        if file_format(file) in LISTS:
            for place, values in table_cells(file, columns, dialect):
                yield as_tagged(columns, values, f"{file.name}, {place}", read_label)
        elif file_format(file) == ".csv":
            raise UserError(
                f"{file} is CSV, which has no lists: save the sentences as CoNLL columns, or as JSONL with "
                f"{text_column} and {columns['label']}, and give that as --data.path."
            )
        elif group_column is not None:
            raise UserError(f"{file} has no column {group_column!r}: leave out --data.group_column.")
        else:
            yield from read_conll(file, label_column, dialect.encoding)

    options = {**columns, "label_column": label_column, "drop_incomplete": drop_incomplete, **asdict(dialect)}
    hashed = lambda used, _: hash_files(used, options)  # noqa: E731
    return make_source(describe(path, files), files, read, hashed, TAGS, drop_incomplete=drop_incomplete)


def read_conll(
    path: Path, label_column: str | int | None = None, encoding: str = "utf-8", *, tagged: bool = True
) -> Iterator[Row]:
    """Read columns, split by tabs or spaces: a word per line, its tag last, blank lines between sentences.

    If the first column numbers the words of the first sentence, the second has the words; ranges (1-2) and
    empty nodes (1.1) are skipped. Lines `-DOCSTART-` end a sentence; lines that begin with "# " before its first
    word are comments, except those with all columns, if these are two or separated by tabs.

    Args:
        label_column: The number of the tags' column, from 1; None means 4 in CoNLL-U, else the last.
        tagged: Whether to read tags; otherwise only the words.

    Raises:
        UserError: If lines have different numbers of columns, or there is no sentence.
    """
    width, separator, numbered = 0, _GAP, False
    lines = ((number, line.rstrip().lstrip(" ")) for number, line in read_lines(path, encoding))
    for filled, group in groupby(lines, lambda pair: pair[1] != "" and not pair[1].startswith("-DOCSTART-")):
        sentence = [*group] if filled else []
        head = [line for _, line in sentence if not _COMMENT.match(line)]
        if head and not width:
            separator = _TAB if "\t" in head[0] else _GAP
            table = [separator.split(line) for line in head]
            width = len(table[0])
            counted = [cells[0] for cells in table if cells[0].isdecimal()]
            numbered = width > 2 and all(_NUMBER.fullmatch(cells[0]) for cells in table)
            numbered = numbered and counted == [str(i + 1) for i in range(len(counted))]
            tag_at = _tag_place(label_column, width, int(numbered), path) if tagged else 0
        rows = [(number, line, separator.split(line)) for number, line in sentence]
        sure = separator is _TAB or width == 2
        while rows and _COMMENT.match(rows[0][1]) and not (sure and len(rows[0][2]) == width):
            del rows[0]
        for number, line, cells in rows:
            if len(cells) != width:
                raise UserError(
                    f"The line {line[:60]!r} has {_columns(len(cells))}, not {_columns(width)} like the lines before "
                    f"it: {path}, line {number}; correct it, or give another --data.path."
                )
        words = [cells for _, _, cells in rows if not numbered or cells[0].isdecimal()]
        if words:
            values = [cells[numbered] for cells in words], [cells[tag_at] for cells in words] if tagged else None
            yield as_tagged({"text": "", "label": ""}, values, f"{path.name}, line {rows[0][0]}", read_tags)
    if not width:
        raise UserError(f"{path} has no sentences: give --data.path a file with a word and its tag on each line.")


def _tag_place(label_column: str | int | None, width: int, word_at: int, path: Path) -> int:
    last = 3 if word_at and width == CONLLU else width - 1
    place = last if label_column is None else int(label_column) - 1 if str(label_column).isdecimal() else -1
    if not 0 <= place < width or place == word_at:
        asked = "" if label_column is None else f"--data.label_column is {label_column!r}, and "
        raise NoLabelColumn(
            f"{asked}{path} has {_columns(width)} without names, the words in {word_at + 1}, and the tags need "
            "another: give its number, from 1, as --data.label_column, or another --data.path."
        )
    return place


def _columns(number: int) -> str:
    return f"{number} column{'' if number == 1 else 's'}"


def as_tagged(
    columns: dict[str, str], values: Sequence[Any], where: str, read_label: Callable[[Any, str], Any] | None = None
) -> Row:
    """Make a row from its cells, in the order of the columns `text`, `label` and, if there are groups, `group`.

    Raises:
        UserError: If there is not exactly one tag per word, or a cell is not a tag.
    """
    cells = dict(zip(columns, values, strict=True))
    words = cells["text"] or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError(
            f"The words are {words!r:.60}, not a list of strings: {where}; correct them, or give another "
            "--data.text_column."
        )
    label: str | None = (read_label or read_tags)(cells.pop("label"), where)
    if label is not None and (number := label.count(" ") + 1) != len(words):
        raise UserError(
            f"There are {len(words)} words and {number} tags: {where}; correct it, or give another --data.label_column."
        )
    cells["text"] = join_words(words)
    return as_row(cells, cells.values(), where)._replace(label=label)


def join_words(words: list[str]) -> str:
    """Join words by single spaces; a space within a word becomes a no-break space."""
    return " ".join(_SPACE.sub("\u00a0", word) for word in words)


def words_of(text: str) -> list[tuple[int, int]]:
    """Start and end of each word of an untagged text: split at white space and around outer marks.

    Corpora separate "(", "," and the last "." of a sentence, but neither "don't" nor "U.S.".
    """
    return [place for _, place in _WORDS.pre_tokenize_str(text)]
