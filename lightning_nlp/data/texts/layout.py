"""Which split each file belongs to, by its name and folders; which files are ignored, and why."""

import re
from collections.abc import Collection, Iterable
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Generic, NamedTuple, TypeVar

from lightning_nlp.data.settings import SPLITS
from lightning_nlp.errors import UserError

T = TypeVar("T")
FIRST_ROWS = 10_000  # that are searched for a label
UNLABELLED = f"its (first {FIRST_ROWS:,}) texts have no labels; label them with `predict`"
# never plain text
NO_TEXT = (*".xlsx .xls .ods .docx .doc .odt .rtf .pptx .pdf .epub .zip .tar .7z .png .jpg .gif .pkl .npy .db".split(),)
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
HIDDEN = (".", "_", "~")

_SPLIT_WORD = re.compile(r"(?:(train)|(valid|val|dev|eval)|(test))(?:ing|ation|uation|elopment|set|data|split)?")
_PLAIN = re.compile("train|valid|validation|val|dev|development|eval|evaluation|test")
_NO_CLASS = ("unsup", "unsupervised", "unlabeled", "unlabelled")  # folders of texts without labels
_TEXTS = ("", ".txt", ".md")  # suffixes of the texts in a class's folder
_PART = re.compile(r"^part-\d.*|\d+")  # what differs between the names of a table's parts
_ABOUT_DATA = re.compile(r"(dataset_(infos?|dict)|state|config|metadata|tokenizer.*|package)\.json")


def file_format(path: PurePath) -> str:
    """The suffix that determines the format, without .gz and .zst; ".jsonl" for JSON, except metadata."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    suffix = Path(name).suffix
    return ".jsonl" if suffix in (".json", ".ndjson") and not _ABOUT_DATA.fullmatch(name) else suffix


class Files(NamedTuple, Generic[T]):
    """The files that a path names, by split."""

    splits: dict[str, list[T]]  # by split its files or the Hub's names for it; none is empty
    names: dict[str, list[str]]  # how to show them
    left_out: dict[str, list[str]]  # the names of unused files, by reason
    classes: bool = False  # whether each file is a text, and its folder's name the label

    def lines(self) -> list[str]:
        """Describe what is read as which split, and what is not used."""
        used = [f"{split} is read from {some(self.names[split])}" for split in self.names]
        return used + [f"not used: {some(names)} ({why})" for why, names in self.left_out.items() if names]


def tell_split(names: Iterable[str]) -> str | None:
    """The split that a word in the last of some names stands for; "contest" and "trains" name none."""
    for name in reversed([*names]):
        for word in re.split(r"[^a-z]+", name.lower()):
            if match := _SPLIT_WORD.fullmatch(word):
                assert match.lastindex is not None
                return SPLITS[match.lastindex - 1]
    return None


def name_splits(names: Collection[str]) -> Files[str]:
    """Map a data set's splits to ours: the one named "dev", or else all like "dev_r1", "dev_r2"."""
    told = {split: [name for name in names if tell_split([name]) == split] for split in SPLITS}
    chosen = {split: [name for name in part if _PLAIN.fullmatch(name)] or part for split, part in told.items()}
    left_out = {
        "another has the plain name": [name for split in SPLITS for name in told[split] if name not in chosen[split]],
        "no split in its name": [name for name in names if not tell_split([name])],
    }
    chosen = {split: part for split, part in chosen.items() if part}
    shown = {key: [f"the split {name}" for name in part] for key, part in (chosen | left_out).items()}
    return Files(chosen, {split: shown[split] for split in chosen}, {why: shown[why] for why in left_out})


def decide(
    path: str, root: Path, names: list[Path], suffixes: tuple[str, ...], *, labelled: bool, glob: bool
) -> Files[Path] | None:
    """Sort the names of files below `root`, from a `glob` or not; None if nothing can be read."""
    visible = [name for name in names if not any(part.startswith(HIDDEN) for part in name.parts)]
    data = [name for name in visible if file_format(name) in suffixes and (root / name).is_file()]
    if glob and not labelled:  # any file can be plain text
        data = data or [name for name in visible if file_format(name) not in NO_TEXT]
    # an unpacked Leipzig archive also has lists of words and of sources
    data = [name for name in data if name.name.removesuffix(".gz").endswith("-sentences.txt")] or data
    places = {name: name.parts for name in data}  # where a split may be named
    in_classes = labelled and not any(map(tell_split, places.values()))
    classes = _texts_of_classes(root, visible, beside=bool(data)) if in_classes else {}
    if not (places := classes or places):
        return None
    parts = _assign_splits(path, places, glob=glob, pool=bool(classes) or not labelled)
    reasons = dict[Path, str]()
    if not classes and not glob:
        for split, part in parts.items():
            reasons |= _not_first_choice(part, suffixes)
            parts[split] = [name for name in part if name not in reasons]
    taken = {name for part in parts.values() for name in part}
    told = any(map(tell_split, places.values()))
    for name in names:
        told_split = tell_split(name.parts)
        if name in taken or name in reasons:
            continue
        if classes and told_split and name in visible and name.suffix in _TEXTS:
            beside = any(name.parent == used.parent.parent for used in taken)
            reasons[name if beside else name.parent] = "not in the folder of a class"
        elif file_format(name) not in suffixes:
            if told_split and not classes and name in visible:
                reasons[name] = "format not supported"
        elif name not in visible:
            reasons[name] = "hidden or temporary"
        elif told_split:
            reasons[name] = "of another data set"
        else:
            reasons[name] = "no split in its name" if told else "in another folder"
    left_out = dict[str, list[str]]()
    for name, why in reasons.items():
        left_out.setdefault(why, []).append(str(name))
    shown = {s: dict.fromkeys(name.parent if classes else name for name in part) for s, part in parts.items()}
    return Files(
        {split: [root / name for name in part] for split, part in parts.items()},
        {split: [*map(str, part)] for split, part in shown.items()},
        left_out,
        classes=bool(classes),
    )


def _texts_of_classes(root: Path, names: list[Path], *, beside: bool) -> dict[Path, tuple[str, ...]]:
    """Texts in class folders, with the parts that may name their split; `beside` tables only those that do."""
    names = [name for name in names if name.suffix in _TEXTS and name.parent.name.lower() not in _NO_CLASS]
    texts = [name for name in names if tell_split(name.parts[-3:-2])]
    if not texts and not beside:
        texts = [name for name in names if len(name.parts) == 2 and not tell_split(name.parts[:1])]
    if len({name.parent.name for name in texts}) < 2:
        return {}
    for name in texts:  # a downloaded tree must not read what lies elsewhere
        file, folder = root / name, (root / name).parent
        if file.is_symlink() or not file.is_file() or not folder.resolve().is_relative_to(root.resolve()):
            raise UserError(f"{file} is a link or a device: give --data.path a tree of plain files, made by `cp -rL`.")
    # review 2_10 comes before 10_7
    texts.sort(key=lambda name: (name.parent.name, [*map(int, re.findall(r"\d+", name.stem))], name.name, name))
    return {name: name.parts[:-2] for name in texts}


def _assign_splits(path: str, places: dict[Path, tuple[str, ...]], *, glob: bool, pool: bool) -> dict[str, list[Path]]:
    """Sort names by the split that their place names; if none does, the parts of one table are train."""
    told = {name: split for name, place in places.items() if (split := tell_split(place))}
    above = {name: (*takewhile(lambda part: not tell_split([part]), places[name]),) for name in told}
    tops = sorted({above[name] for name, split in told.items() if split == "train"}, key=len)
    depth = min(len(name.parts) for name in places)
    train = [name for name in places if glob or len(name.parts) == depth]
    if not told and (glob or pool or len({_PART.sub("", name.name) for name in train}) == 1):
        return {"train": train}
    if not tops:
        raise UserError(
            f"No file in {path} is named as the train split: found {some(map(str, places))}; rename one to "
            f"train{file_format(train[0])}, or give --data.path a single file"
            + ("." if told else f", or '{Path(path, *['*'] * depth)}' to train on all of them.")
        )
    if not glob:  # of several data sets, read the topmost
        if len(tops) > 1 and len(tops[0]) == len(tops[1]):
            several = some(sorted(str(Path(*top)) for top in tops))
            raise UserError(f"{path} contains several data sets ({several}): give --data.path one of these folders.")
        told = {name: split for name, split in told.items() if above[name] == tops[0]}
    return {split: part for split in SPLITS if (part := [name for name in told if told[name] == split])}


def _not_first_choice(part: list[Path], suffixes: tuple[str, ...]) -> dict[Path, str]:
    """Why files of a split are not read: another one there has the split's plain name, or theirs."""
    stems = {name: Path(name.name.lower().removesuffix(".gz").removesuffix(".zst")).stem for name in part}
    by_format = sorted(part, key=lambda name: suffixes.index(file_format(name)))
    first = {(name.parent, stems[name]): name for name in reversed(by_format)}
    plain = {folder for folder, stem in first if _PLAIN.fullmatch(stem)}
    reasons = dict[Path, str]()
    for name, stem in stems.items():
        if name.parent in plain and not _PLAIN.fullmatch(stem):
            reasons[name] = "another file has the plain name; a pattern as --data.path reads both"
        elif first[name.parent, stem] != name:
            reasons[name] = "the same name in another format"
    return reasons


def some(names: Iterable[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    names = [*names]
    return ", ".join(names[:most]) + (f" (+{len(names) - most} more)" if len(names) > most else "")
