"""What all bad input comes to: one sentence, exit code 2, and nothing left behind."""

from pathlib import Path

from lightning_nlp.data.cache import broken_part
from tests.conftest import Outcome, files_below, invoke


def fails(arguments: list[str | Path], *words: str) -> str:
    """The command fails as it should, with a message that holds these words; nothing new lies anywhere."""
    cache = next(
        (Path(b) for a, b in zip(arguments[-2::-1], arguments[:0:-1], strict=True) if "cache_dir" in str(a)), None
    )
    usable = cache is not None and "\0" not in str(cache) and cache.is_dir()
    before = {path.name for path in cache.iterdir()} if usable else set()
    here = files_below(Path.cwd())
    line = check(invoke(*arguments), *words)
    assert files_below(Path.cwd()) == here
    if usable:  # good data that were prepared before a mistake showed are no rubbish
        new = [path for path in cache.iterdir() if path.name not in before and path.suffix not in (".lock", ".sizes")]
        assert [path for path in new if not path.is_dir() or broken_part(path)] == []
    return line


def check(outcome: Outcome, *words: str) -> str:
    """Exit code 2, and one error that is the last line and holds these words."""
    assert outcome.code == 2, outcome.err[-2000:]
    lines = [line for line in outcome.err.split("\n") if line.startswith("error: ")]
    assert len(lines) == 1, outcome.err[-2000:]
    assert outcome.err.rstrip("\n").split("\n")[-1] == lines[0], "the message is the last line, and is one line"
    assert "Traceback" not in outcome.err + outcome.out
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def with_data(tiny: list[str], path: str | Path, tmp_path: Path) -> list[str | Path]:
    """The arguments of a training on this data, with a cache of its own."""
    return ["fit", *tiny, "--data.path", path, "--data.cache_dir", tmp_path / "cache"]
