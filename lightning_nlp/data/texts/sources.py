"""Where texts come from: files, folders, Leipzig sentences, the Hub, or the embedded demos."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from lightning_nlp.data.texts.columns import Row, as_label, name_columns
from lightning_nlp.data.texts.dialect import UTF8, Dialect
from lightning_nlp.data.texts.download import leipzig_archive
from lightning_nlp.data.texts.files import describe, find_files, hash_files, is_saved, refuse_address
from lightning_nlp.data.texts.hub_texts import datasets_source
from lightning_nlp.data.texts.layout import Files
from lightning_nlp.data.texts.lines import read_lines
from lightning_nlp.data.texts.readers import TABLES, file_format, read_sentences, read_table
from lightning_nlp.data.texts.source import ReadLabel, Source, make_source
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError

LEIPZIG_ESPERANTO = "https://downloads.wortschatz-leipzig.de/corpora/epo_literature_2011_300K.tar.gz"


def labelled_source(
    path: str,
    *,
    text_column: str | list[str] = "text",
    label_column: str | list[str] = "label",
    group_column: str | None = None,
    drop_incomplete: bool = False,
    missing_labels: list[str | int] | None = None,
    problem: str = "auto",
    label_separator: str | None = None,
    dialect: Dialect = UTF8,
) -> Source:
    """Find and hash the texts of a `TextClassificationDataModule`, by its arguments; only the first rows are read.

    What exists locally is read rather than a data set of the Hub with that name.

    Raises:
        UserError: If `path` names nothing, or nothing of a format that is read here.
    """
    columns, missing = name_columns(text_column, label_column, group_column), None
    if missing_labels is not None:  # written as labels are
        written = (as_label(label, "--data.missing_labels") for label in missing_labels)
        missing = tuple(str(label).casefold() for label in written)
    several = tuple(label_column) if isinstance(label_column, list) else None
    settings: dict[str, Any] = {"drop_incomplete": drop_incomplete, "paired": "text.1" in columns}
    form = LabelForm(problem, several, label_separator, missing)
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(form, group_column, paired=settings["paired"])
    files = None if is_saved(path) else find_files(path, labelled=True)
    if files is None:
        return datasets_source(path, columns, form, **settings)
    if files.classes:
        _refuse_groups(group_column, path)
        if settings["paired"]:
            raise UserError(f"The folders of {path} hold one text a file, no pairs: leave out --data.text_column.")
        if form.problem not in ("auto", "classes"):
            raise UserError(f"The folders of {path} name one class each: leave out {form.why}.")
        columns, form = {}, LabelForm(missing=missing)

    def read(file: Path, read_label: ReadLabel) -> Iterator[Row]:
        if not files.classes:
            return read_table(file, text_column, label_column, group_column, dialect, read_label)
        text = "".join(line for _, line in read_lines(file, dialect.encoding))
        return iter([Row(text, file.parent.name, "/".join(file.parts[-3:]))])

    how = {**columns, "drop_incomplete": drop_incomplete, "missing_labels": missing_labels, **asdict(dialect)}

    def fingerprint(used: list[tuple[str, Path]], form_key: dict[str, Any]) -> str:
        contents = ((f"{split}/{file.parent.name}" if files.classes else split, file) for split, file in used)
        return hash_files(contents, how | form_key)

    return make_source(describe(path, files), files, read, fingerprint, form, label_names=several, **settings)


def text_source(
    path: str | None,
    *,
    text_column: str = "text",
    group_column: str | None = None,
    cache_dir: Path,
    dialect: Dialect = UTF8,
) -> Source:
    """Find or download the texts of a `MaskedLanguageModelingDataModule`, by its arguments; no row is read yet.

    Raises:
        UserError: If `path` names nothing, or if the download fails.
    """
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(None, group_column)
    if path is None or path.startswith(("http://", "https://")):
        if path and file_format(PurePosixPath(urlsplit(path).path)) in (*TABLES, ".txt"):
            refuse_address(path)
        folder = leipzig_archive(path or LEIPZIG_ESPERANTO, cache_dir)
        files: Files[Path] | None = Files({"train": sorted(folder.glob("*-sentences.txt"))}, {}, {})
        path = ""  # its folder's name is only a hash: described by the file
    else:
        files = None if is_saved(path) else find_files(path, labelled=False)
    if files is None:
        return datasets_source(path, name_columns(text_column, group=group_column))

    def read(file: Path, read_label: ReadLabel) -> Iterator[Row]:
        if file_format(file) in TABLES:
            return read_table(file, text_column, group_column=group_column, dialect=dialect)
        _refuse_groups(group_column, file.name)
        return read_sentences(file, dialect.encoding)

    how = {"text_column": text_column, "group_column": group_column, **asdict(dialect)}
    return make_source(describe(path, files), files, read, lambda used, _: hash_files(used, how))


def _refuse_groups(group_column: str | None, what: str) -> None:
    if group_column is not None:
        raise UserError(f"{what} has no columns, so there is no {group_column!r}: leave out --data.group_column.")
