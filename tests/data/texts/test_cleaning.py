"""What reading all texts shows, and no row alone; the splits are in test_splits.py."""

import re
import subprocess

import pytest

from lightning_nlp.data.settings import Dialect
from lightning_nlp.data.texts.sources import labelled_source, text_source
from lightning_nlp.data.texts.splits import build_splits
from lightning_nlp.errors import UserError

SENTENCES = [f"Sentence number {i} is about {'cats' if i % 2 else 'dogs'}." for i in range(40)]


def read(path, tmp_path, dialect=Dialect(), **options):  # noqa: B008
    source = text_source(str(path), cache_dir=tmp_path, dialect=dialect)
    return build_splits(source, work_dir=tmp_path / "work", **options)[2]


def test_control_characters_of_latin_1_are_told_with_the_encoding(tmp_path):
    lines = [*SENTENCES, "it’s “fine” – 5€", "another – dash"]
    (tmp_path / "a.txt").write_bytes("\n".join(lines).encode("cp1252"))
    (note,) = read(tmp_path / "a.txt", tmp_path, Dialect("latin1")).notes
    assert note.startswith(r"2 texts contain control characters ('\x92', first in a.txt, line 41)")
    cure = re.search(r"--data\.encoding (\w+)", note)[1]
    assert read(tmp_path / "a.txt", tmp_path, Dialect(cure)).notes == []
    # as after `iconv -f latin1`, in any format
    table = "text,label\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(lines))
    (tmp_path / "a.csv").write_text(table.encode("cp1252").decode("latin1"), encoding="utf-8")
    _, _, counts = build_splits(labelled_source(str(tmp_path / "a.csv")), work_dir=tmp_path / "work")
    assert counts.lines()[-1].startswith("warning: 2 texts contain control characters")


def test_a_corpus_in_one_line_and_the_command_that_breaks_it(tmp_path):
    (tmp_path / "OLD").write_text(" ".join(SENTENCES))
    (tmp_path / "a.txt").write_text(" ".join(SENTENCES))
    with pytest.raises(UserError, match=r"a\.txt is one line of [\d,]+ characters") as caught:
        read(tmp_path / "a.txt", tmp_path)
    subprocess.run(re.search("`(.*)`", str(caught.value))[1], shell=True, cwd=tmp_path, check=True)
    (tmp_path / "NEW").rename(tmp_path / "b.txt")
    assert read(tmp_path / "b.txt", tmp_path).train.read == len(SENTENCES)


def test_many_repeats_are_told_with_the_option_that_keeps_them(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join([*SENTENCES, *["return None"] * 30]))
    (note,) = read(tmp_path / "a.txt", tmp_path).notes
    assert note.startswith("29 of 70 training texts repeat earlier ones and were dropped")
    assert "--data.deduplicate false" in note
    kept = read(tmp_path / "a.txt", tmp_path, deduplicate=False)
    assert kept.notes == []
    assert kept.train.kept + kept.validation.kept + kept.test.kept == 70
    (tmp_path / "a.txt").write_text("\n".join([*SENTENCES, *["return None"] * 15]))
    assert read(tmp_path / "a.txt", tmp_path).notes == []
