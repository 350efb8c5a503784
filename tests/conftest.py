"""What the tests share: tiny data, tiny models, the command line as a function, and no network."""

import contextlib
import csv
import gc
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Set before the libraries are imported: no test uses the network, and their files go to a folder that is removed at
# the end.
SCRATCH = tempfile.TemporaryDirectory(prefix="lightning_nlp_tests_")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = SCRATCH.name
os.environ["WANDB_MODE"] = "offline"
os.environ.pop("WANDB_API_KEY", None)
for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
    os.environ[name] = f"{SCRATCH.name}/{name.lower()}"

gc.set_threshold(50_000, 20, 20)  # a full collection of what the libraries hold takes as long as half a training
if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: more threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cpu", choices=["avx2"], help="behave like a CPU without AVX-512 and bfloat16, as far as this one can"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--cpu"):  # before torch is imported; all that a test starts inherits it
        os.environ |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


HOUSE = Path(__file__).parents[1]
# For the processes that a test starts; the libraries may lie on this path too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
GOOD, BAD = "good great lovely fine superb".split(), "bad awful dull poor boring".split()
NOUNS = "film plot cast score ending scene".split()


@pytest.fixture(autouse=True)
def ctrl_c_as_in_a_terminal() -> Iterator[None]:
    """A suite started in the background inherits an ignored SIGINT, and so would what it tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def run(self) -> Path:
        """The run's directory: the last line on stdout."""
        assert self.code == 0, self.err
        return Path(self.out.splitlines()[-1])


def invoke(*arguments: str | Path) -> Outcome:
    """Run a command in this process, and keep what it prints."""
    from lightning_nlp.cli.main import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def train(*arguments, cwd, hide=("WANDB_",), code=None, **environment) -> subprocess.CompletedProcess[str]:
    """Run train.py, or other code, in a process of its own, which has no variable that begins with one of `hide`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hide)}
    kept |= {"OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, *(["-c", code] if code else [HOUSE / "train.py"]), *map(str, arguments)]
    caught = {"capture_output": True, "text": True, "timeout": 240, "stdin": subprocess.DEVNULL}
    return subprocess.run(command, cwd=cwd, env=kept, **caught)


def write_reviews(path: Path, number: int = 60) -> Path:
    """Short reviews, alternately neg and pos, that a few steps can learn to tell apart."""
    rng = random.Random(172)  # of 60, 49 are for training, 5 for validation and 6 for the test, of both labels
    lines = ["text,label\n"]
    for i in range(number):
        words, label = (GOOD, "pos") if i % 2 else (BAD, "neg")
        text = f"the {rng.choice(NOUNS)} was {rng.choice(words)}, the {rng.choice(NOUNS)} {rng.choice(words)} {i}"
        lines.append(f'"{text}",{label}\n')
    path.write_text("".join(lines), encoding="utf-8", newline="\r\n")
    return path


def write_sentences(path: Path, number: int = 150) -> Path:
    """Esperanto sentences in the Leipzig format."""
    rng = random.Random(4)  # of 150, 144 are for training, and 3 each are held out
    subjects = ["la hundo", "mia kato", "ŝia patro", "ĉiu knabo", "nia amiko"]
    verbs, objects = "vidas manĝas aĉetas ŝatas".split(), ["panon", "la ĝardenon", "florojn", "libron", "ĉevalon"]
    pick = rng.choice
    said = (f"{pick(subjects)} {pick(verbs)} {pick(objects)} kaj {pick(verbs)} {pick(objects)}" for _ in range(number))
    lines = (f"{i}\t{words} {i}.\n" for i, words in enumerate(said, 1))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_tagged(path: Path, number: int = 80) -> Path:
    """Sentences in which each second word is a name."""
    words, tags = "the man Kar{0} saw Bel{1} .", "O O B-PER O B-LOC O".split()
    records = [{"tokens": words.format(i, i % 7).split(), "ner_tags": tags} for i in range(number)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read_metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_losses(run: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv without speeds: what two equal trainings have in common."""
    return [{name: value for name, value in row.items() if "perf/" not in name} for row in read_metrics(run)]


def checkpoint_of(run: Path, name: str = "last") -> dict[str, Any]:
    """A run's checkpoint: last or best."""
    import torch

    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def without(arguments: Sequence[str], option: str) -> list[str]:
    """Arguments without an option and its value, which the configuration then decides."""
    at = arguments.index(option)
    return [*arguments[:at], *arguments[at + 2 :]]


def wandb_records(run: Path) -> list[dict[str, Any]]:
    """The records of a run's W&B run, in order: each with its `type`, and its content under that name."""
    program = Path(sys.executable).parent / "wandb"
    printed = subprocess.run([program, "leet", "inspect", "--json", run / "wandb"], capture_output=True, check=True)
    return [json.loads(line) for line in printed.stdout.splitlines()]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv")


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data") / "eo-sentences.txt")


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagged(tmp_path_factory.mktemp("data") / "tagged.jsonl")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


SIZES = "--model.n_layers 1 --model.n_heads 2 --model.dim 16 --model.hidden_dim 32".split()
DATA = "--data.vocab_size 300 --data.max_length 32".split()
TRAINER = (
    "--trainer.accelerator cpu --trainer.precision 32-true --trainer.log_every_n_steps 1 --trainer.logger false "
    "--trainer.enable_progress_bar false --trainer.max_epochs 2"
).split()


@pytest.fixture(scope="session")
def tiny_cls(reviews: Path, cache_dir: Path) -> list[str]:
    """Arguments of a classifier that trains in a second: 7 steps an epoch."""
    data = [*DATA, "--data.path", str(reviews), "--data.cache_dir", str(cache_dir), "--data.batch_size", "8"]
    return ["--config", "quickstart.yaml", *SIZES, *TRAINER, *data, "--model.lr", "0.01"]


@pytest.fixture(scope="session")
def tiny_mlm(sentences: Path, cache_dir: Path) -> list[str]:
    """Arguments of a masked language model that trains in a second: 9 steps an epoch."""
    data = [*DATA, "--data.path", str(sentences), "--data.cache_dir", str(cache_dir), "--data.batch_size", "16"]
    return ["--config", "quickstart_mlm.yaml", *SIZES, *TRAINER, *data, "--model.max_position_embeddings", "32"]


@pytest.fixture(scope="session")
def cls_run(tiny_cls: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invoke("fit", *tiny_cls, "--runs_dir", tmp_path_factory.mktemp("runs")).run


@pytest.fixture(scope="session")
def mlm_run(tiny_mlm: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invoke("fit", *tiny_mlm, "--runs_dir", tmp_path_factory.mktemp("runs")).run


@pytest.fixture(scope="session")
def pretrained(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DistilBERT with 32 positions and its tokenizer, as save_pretrained writes them."""
    import torch
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    from lightning_nlp.data.tokens.tokenizer import train_wordpiece

    folder = tmp_path_factory.mktemp("pretrained")
    tokenizer = train_wordpiece(reviews.read_text(encoding="utf-8").splitlines(), vocab_size=300, max_length=32)
    tokenizer.save_pretrained(folder)
    sizes = {"n_layers": 1, "n_heads": 2, "dim": 16, "hidden_dim": 32, "max_position_embeddings": 32}
    config = DistilBertConfig(**sizes, vocab_size=len(tokenizer), pad_token_id=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        DistilBertForMaskedLM(config).save_pretrained(folder)
    return folder


@contextlib.contextmanager
def ctrl_c(hook: str, when: Sequence[int] | None = None, number: int = signal.SIGINT) -> Iterator[None]:
    """Press Ctrl-C in a hook of the training, or send another signal: at its n-th calls from 0, or at each."""
    from lightning_nlp.callbacks.throughput import Throughput

    calls = iter(range(10**6))
    usual = getattr(Throughput, hook)

    def pressing(*args: object, **kwargs: object) -> None:
        call = next(calls)
        if when is None or call in when:
            signal.raise_signal(number)
        usual(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Throughput, hook, pressing)
        yield


@contextlib.contextmanager
def full_disk():
    """No file may grow beyond 4 KiB. Keep it short: pytest's own report may be such a file."""
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))
        signal.signal(signal.SIGXFSZ, handler)


FACTS = {  # a finished run's facts.json
    "command": "python train.py fit --config configs/cls.yaml --model.lr 3e-5",
    "checkpoint": "checkpoints/best.ckpt",
    "checkpoint_step": 1234,
    "validation": {"val/loss": 0.25},
    "test": {"test/loss": 0.375, "test/accuracy": 0.9125},
    "epochs": 2,
    "steps": 1234,
    "since_step": 0,
    "seconds": 61.4,
    "tokens_per_s": 12345.6,
    "mfu": 0.5,
    "peak_memory_gib": 1.504,
    "hardware": "CPU, 2 threads",
    "precision": "32-true",
    "parts": {},
    "ema_decay": None,
}
CURVE = [0.0, 0.5, 1.0]


def cls_record(step: int, stage: str = "val") -> dict[str, Any]:
    scores = {"precision": 0.75, "recall": 0.75, "f1": 0.75}
    best = {"threshold": 0.4, **scores}
    curves = {
        "pr": {"recall": CURVE, "precision": CURVE[::-1], "threshold": CURVE},
        "roc": {"fpr": CURVE, "tpr": CURVE, "threshold": CURVE},
    }
    shared = {**scores, "support": 4, "average_precision": 0.8, "auc": 0.9, "best_f1": best, **curves}
    wanted = {"precision": 0.95, "threshold": 0.9, "recall": 0.5}
    record = {
        "task": "classification",
        "stage": stage,
        "step": step,
        "epoch": 1.0,
        "examples": 8,
        "labels": ["neg", "pos"],
        "metrics": {"loss": 0.5, "accuracy": 0.75, **scores, "ece": 0.0625, "brier": 0.25},
        "confusion": [[3, 1], [1, 3]],
        "by_class": [{"label": "neg", **shared, "wanted": None}, {"label": "pos", **shared, "wanted": wanted}],
        "reliability": [{"low": 0.6, "high": 0.7, "examples": 8, "confidence": 0.65, "accuracy": 0.75}],
        "by_length": [{"low": 5, "high": 9, "examples": 8, "accuracy": 0.75}],
    }
    if stage == "test":
        words = [["the", 0.1], ["dull", -1.0]]
        mistake = {"row": 7, "text": "the film", "label": "pos", "prediction": "neg", "probability": 0.99}
        record["mistakes"] = [{**mistake, "words": words}]
    return record


def mlm_record(step: int, stage: str = "val") -> dict[str, Any]:
    part = {"tokens": 10, "top1": 0.25, "top5": 0.5, "loss": 3.0}
    fillings = [{"token": token, "probability": 0.125} for token in ("domo", "tago", "urbo", "rozo", "monto")]
    return {
        "task": "mlm",
        "stage": stage,
        "step": step,
        "epoch": 1.0,
        "masked_tokens": 20,
        "metrics": {"loss": 3.0, "perplexity": 20.1, "bits_per_char": 2.0, "top1": 0.25, "top5": 0.5},
        "by_frequency": [{"low": 1, "high": 9, **part}, {"low": 10, "high": 99, **part}],
        "by_piece": {"word": part, "subword": part},
        "probes": [{"text": "La [MASK] estas granda.", "fillings": [fillings]}],
    }
