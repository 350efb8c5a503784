"""README and docs: their commands and Python run on small data, and what they link to or name is there."""

import ast
import contextlib
import importlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lightning_nlp
from lightning_nlp.data.texts.demo_sentences import demo_pairs
from lightning_nlp.data.texts.normalize import PAIR
from tests.conftest import HOUSE, SIZES, TRAINER, invoke, train, write_reviews, write_sentences, write_tagged

DOCS = sorted((HOUSE / "docs").glob("*.md"))
PAGES = [HOUSE / "README.md", HOUSE / "CONTRIBUTING.md", HOUSE / "CHANGELOG.md", *DOCS]
BY_NAME = {"ids": lambda page: page.name}
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
HUB_ID = "distilbert/distilbert-base-uncased"
NOT_OURS = {"config.yaml", "utils.py", "kept/", "wandb/"}  # they are in a run, or must not exist


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)


def commands(page):
    """Each command of a page as its words, without comments and variables of the environment."""
    for line in "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            command, words = words[:end], words[end + 1 :]
            yield [*command[next(i for i, word in enumerate(command) if not re.match(r"[A-Z_]+=", word)) :]]


def all_commands():
    return sorted({shlex.join(words) for page in PAGES for words in commands(page)})


# --- what is there


@pytest.mark.parametrize("page", PAGES, **BY_NAME)
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r'(?:\]\(|src="|srcset=")([^)\s"]+)', read(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        markdown = read(target) if target.suffix == ".md" and target.is_file() else ""
        headings = re.findall(r"^#+ (.*)", markdown, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        if not target.exists() or (anchor and anchor not in anchors):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], **BY_NAME)
def test_files_rooms_and_tests_that_are_named_exist(page):
    tests = "".join(read(path) for path in (HOUSE / "tests").rglob("test_*.py"))
    places = [HOUSE, HOUSE / "lightning_nlp", HOUSE / "configs", HOUSE / "tests"]
    missing = []
    for name in re.findall(r"`([\w./-]+)`", re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)):
        is_path = name.startswith(("tests/", "configs/", "benchmarks/", "docs/", "lightning_nlp/"))
        if name.startswith("test_") and "." not in name:
            found = f"def {name}(" in tests
        elif is_path or name.endswith(("/", ".py", ".toml", ".yaml")):
            found = name in NOT_OURS or name.startswith("runs/") or any((place / name).exists() for place in places)
        else:
            continue
        if not found:
            missing.append(name)
    assert missing == []


def test_options_that_are_named_exist():
    shown = "".join(invoke(command, "--help").out for command in ("fit", "inspect", "validate", "test", "predict"))
    known = {*re.findall(r"--[\w.]+", shown), "--cpu", "--private", "--local"}  # pytest's and the Hub's
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            text = re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)
            assert [name for name in re.findall(r"--\w+(?:\.\w+)?", text) if name not in known] == []


def test_readme_is_one_page():
    text = read(HOUSE / "README.md")
    assert len(text.split()) <= 1400
    assert len(text.splitlines()) <= 140
    assert {page.name for page in DOCS} <= set(re.findall(r"docs/([\w-]+\.md)", text))


@pytest.mark.parametrize("page", DOCS, **BY_NAME)
def test_each_page_begins_with_what_its_reader_came_for(page):
    assert re.match(r"# .+\n\n```(bash|python)\n", read(page))


def test_python_blocks_import_what_there_is():
    for page in PAGES:
        for block in blocks(page, "python"):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module == "lightning_nlp":
                    assert {name.name for name in node.names} <= set(lightning_nlp.__all__)
    assert [name for name in lightning_nlp.__all__ if f"`{name}`" not in read(HOUSE / "docs" / "python.md")] == []


# --- commands are understood


def accepted(words):
    """Whether a program accepts these words; they are not carried out."""
    match words:
        case ["lightning-nlp", *arguments]:
            return accepted(["python", "train.py", *arguments])
        case ["python", "train.py", "fit" | "inspect" as command, *arguments]:
            if "--help" not in arguments:
                arguments = [*arguments, "--print_config"]
            return invoke(command, *arguments).code == 0
        case ["python", "train.py", command, *arguments]:
            shown = invoke(command, "--help").out
            return all(argument.split("=")[0] in shown for argument in arguments if argument.startswith("--"))
        case ["torchrun", *arguments]:
            from torch.distributed.run import get_args_parser

            parsed = get_args_parser().parse_args(arguments)
            return accepted(["python", parsed.training_script, *parsed.training_script_args])
        case ["python", "-m", module, *arguments]:
            program = importlib.import_module(f"{module}.__main__" if module == "lightning_nlp.report" else module)
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
                program.main(["--help"])
            return all(argument in shown.getvalue() for argument in arguments if argument.startswith("--"))
        case ["pip", "install", "-e", where]:
            extra = re.fullmatch(r"\.(?:\[(\w+)\])?", where)
            return extra is not None and extra[1] in {None, *PROJECT["project"]["optional-dependencies"]}
        case ["pytest", *arguments]:
            markers = " ".join(PROJECT["tool"]["pytest"]["ini_options"]["markers"])
            named = [arguments[i + 1] for i, argument in enumerate(arguments) if argument == "-m"]
            paths = [HOUSE / argument for argument in arguments if "/" in argument]
            return all(f"{name}:" in markers for name in named) and all(path.exists() for path in paths)
        case ["hf", "upload", _, _]:
            program = Path(sys.executable).parent / "hf"
            shown = subprocess.check_output([program, "upload", "--help"], text=True)
            return "upload [OPTIONS] REPO_ID [LOCAL_PATH]" in shown
        case ["mkdocs", command, *arguments]:
            cli = pytest.importorskip("mkdocs.__main__", reason="needs pip install -e '.[docs]'").cli
            return cli.commands[command].make_context(command, arguments) is not None
        case ["wandb", "sweep", *arguments]:
            from wandb.cli.cli import cli

            config = cli.commands["sweep"].make_context("sweep", arguments).params["config_yaml_or_sweep_id"]
            return (HOUSE / config).is_file()
        case ["bash" | "python", script, *_]:
            return (HOUSE / script).is_file()
        case ["python3", "-m", "venv", _] | [".", _]:
            return True
    return False


@pytest.mark.parametrize("command", all_commands(), ids=str)
def test_command_is_understood(command):
    assert accepted(shlex.split(command))


# --- commands and Python run

SHORT = [*TRAINER, *"--trainer.max_epochs 1 --data.max_length 32".split()]
# or another test runs it
ELSEWHERE = {"--trainer.devices", "--offline", "--upload_export", "lightning_nlp.StreamingDataModule"}
DATA = {"mlm": "sentences.txt", "quickstart_mlm": "sentences.txt", "number": "numbers.csv", "tags": "corpus"}


def small(words):
    """The arguments of a training or inspection, with what makes it small and keeps it off the Hub."""
    config = words[words.index("--config") + 1]
    pretrained = config in ("configs/cls.yaml", "configs/own_data.yaml") or "--model.pretrained" in words
    more = ["--model.pretrained", "pretrained"] if pretrained else [*SIZES, "--data.vocab_size", "300"]
    if config == "configs/pairs.yaml" and "--data.path" not in words:
        more += ["--data.max_train_samples", "100"]  # of the demo
    elif "--data.path" not in words:
        more += ["--data.path", DATA.get(Path(config).stem, "imdb.csv")]
    return [*words, *SHORT, *more, "--data.cache_dir", "cache"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the pages assume: data, a pretrained model, and runs."""
    folder = tmp_path_factory.mktemp("docs")
    table = read(write_reviews(folder / "imdb.csv"))
    (folder / "reviews.csv").write_text(table.replace("text,label", "review,stars"), encoding="utf-8")
    (folder / "german.csv").write_text(table.replace(", the", " – the").replace(",", ";"), encoding="cp1252")
    (folder / "raw.tsv").write_text(table.replace(", the", ' "the').replace(",", "\t").replace('"', ""), "utf-8")
    for name in ("reviews.txt", "new_reviews.txt"):
        (folder / name).write_text("the film was good\nthe plot was dull\n", encoding="utf-8")
    numbers = re.sub(r"\b(?:pos|neg)$", lambda found: str(found.start() % 7 / 2), table, flags=re.MULTILINE)
    (folder / "numbers.csv").write_text(numbers, encoding="utf-8")
    (folder / "ratings.csv").write_text(numbers.replace("text,label", "review,stars"), encoding="utf-8")
    topics = table.replace("text,label", "review,topics").replace("pos\n", "pos;good\n")
    (folder / "topics.csv").write_text(topics, encoding="utf-8")
    (folder / "letters.txt").write_text("The man Kara saw Bela.\n", encoding="utf-8")
    (folder / "corpus").mkdir()
    write_tagged(folder / "corpus" / "train.jsonl")
    write_sentences(folder / "sentences.txt")
    pairs = [(*text.split(PAIR), label) for text, label in demo_pairs(150)]
    lines = [json.dumps({"premise": first, "hypothesis": second, "label": label}) for first, second, label in pairs]
    (folder / "nli.jsonl").write_text("\n".join(lines), encoding="utf-8")
    shutil.copytree(HOUSE / "configs", folder / "configs")
    own_data = folder / "configs" / "own_data.yaml"  # which Python takes as it is
    own_data.write_text(read(own_data).replace(HUB_ID, "pretrained"), encoding="utf-8")
    _pretrained(folder / "pretrained", table.splitlines())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for config in ("cls", "cls", "own_data", "tags"):
            columns = ["--data.path", "reviews.csv", "--data.text_column", "review", "--data.label_column", "stars"]
            more = columns if config == "own_data" else []
            outcome = invoke("fit", *small(["--config", f"configs/{config}.yaml", *more]))
            assert outcome.code == 0, outcome.err
        quickstart = invoke("fit", *small(["--config", "configs/quickstart.yaml"]), "--print_config").out
    (folder / "small.yaml").write_text(quickstart, encoding="utf-8")
    return folder


def _pretrained(folder, texts):
    """As the one of conftest, with the positions that the pages' lengths need."""
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    tokenizer = lightning_nlp.train_tokenizer(texts, vocab_size=300)
    tokenizer.save_pretrained(folder)
    sizes = {"n_layers": 1, "n_heads": 2, "dim": 16, "hidden_dim": 32, "vocab_size": len(tokenizer), "pad_token_id": 0}
    DistilBertForMaskedLM(DistilBertConfig(**sizes)).save_pretrained(folder)


def runs_here(command):
    """Whether it is a command of ours that needs no network and no devices, and does more than print."""
    ours = command.startswith(("python train.py", "python -m lightning_nlp.report"))
    return ours and not (ELSEWHERE | {"--help", "--print_config"}) & set(shlex.split(command))


@pytest.mark.acceptance
@pytest.mark.parametrize("command", [*filter(runs_here, all_commands())], ids=str)
def test_command_runs(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("predictions.jsonl").unlink(missing_ok=True)
    words = shlex.split(command)
    if "<" in words:
        words, source = words[: words.index("<")], words[words.index("<") + 1]
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(source).read_bytes()), "utf-8"))
    if words[1] == "-m":
        from lightning_nlp.report.__main__ import main

        main(words[3:])
        return
    arguments = words[2:] if "--run" in words else small(words[2:])
    outcome = invoke(*arguments)
    assert outcome.code == 0 or (words[2] == "inspect" and outcome.code == 1), outcome.err


@pytest.mark.acceptance
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], **BY_NAME)
def test_python_runs(page, folder):
    """All blocks of a page one after the other, as a reader would type them."""
    program = "".join(blocks(page, "python")).replace(HUB_ID, "pretrained")
    program = program.replace("configs/quickstart.yaml", "small.yaml")
    result = train(cwd=folder, code=program, HOME=str(folder), hide=())
    assert result.returncode == 0, result.stderr
