"""The trainings that are killed: small, with dropout, in each combination of what may matter to a resume."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import SIZES, TRAINER, write_reviews, write_sentences, write_tagged

STEADY = "--early_stopping.patience 99 --trainer.max_epochs 3 --peak_tflops 1 --data.cache_dir cache".split()
DATA = "--data.vocab_size 300 --data.max_length 32 --data.eval_batch_size 4".split()
MODEL = "--model.dropout 0.2 --model.attention_dropout 0.1".split()
# Early stopping after the second or third validation: the rate is so high that the first one stays the best.
STOPS_EARLY = "--early_stopping.patience 1 --model.lr 0.3 --trainer.max_epochs 9".split()
# The module holds the average while it validates.
AVERAGED = "--ema_decay 0.9 --trainer.precision bf16-mixed".split()
FILES = {  # each task's configuration and data
    "cls": ("quickstart.yaml", "reviews.csv"),
    "mlm": ("quickstart_mlm.yaml", "sentences.txt"),
    "tags": ("tags.yaml", "tagged.jsonl"),
}


def write_data(folder: Path) -> None:
    write_reviews(folder / "reviews.csv", 120)
    write_sentences(folder / "sentences.txt", 130)
    write_tagged(folder / "tagged.jsonl", 120)


def command(
    task: str, data: Path, *, workers: int, packing: bool, accumulate: int, tokens: bool, interval: bool
) -> list[str]:
    """One training's arguments, of a task in `FILES`; `interval`: with validations within the epoch too."""
    config, file = FILES[task]
    arguments = ["fit", "--resume", "auto", "--config", config]
    arguments += [*SIZES, *TRAINER, *DATA, *MODEL, *STEADY]
    arguments += ["--data.path", str(data / file)]
    monitor = ["--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    arguments += [*monitor, *(option.replace("checkpoint", "early_stopping") for option in monitor)]
    arguments += ["--model.lr", "0.01"] + (["--model.max_position_embeddings", "32"] if task == "mlm" else [])
    arguments += ["--data.num_workers", str(workers), "--data.packing", str(packing).lower()]
    arguments += ["--trainer.accumulate_grad_batches", str(accumulate)]
    arguments += ["--data.tokens_per_batch", "128"] if tokens else ["--data.batch_size", "8"]
    return arguments + (["--trainer.val_check_interval", "6"] if interval else [])


def matrix(data: Path) -> dict[str, tuple[list[str], list[list[str]]]]:
    """All combinations of task, workers, packing and accumulation; the two others take turns. Plans are drawn."""
    found = {}
    product = itertools.product(("cls", "mlm"), (0, 2), (True, False), (1, 4))
    for number, (task, workers, packing, accumulate) in enumerate(product):
        choice = {"workers": workers, "packing": packing, "accumulate": accumulate}
        choice |= {"tokens": bool((number // 4 + number) % 2), "interval": bool((number // 2) % 2)}
        name = " ".join([task, *(f"{name}={value}" for name, value in choice.items())])
        found[name] = (command(task, data, **choice), [])
    return found


def draw_plans(phases: Sequence[str], turn: int, rng: random.Random) -> list[list[str]]:
    """Where to kill one training: points, points twice in a row, and moments of the clock.

    The phases take turns with `turn`, the training's number, so that all come up.
    """
    names = sorted(set(phases))

    def point(number: int, most: float = 1.0) -> str:
        name = names[number % len(names)]
        return f"{name}:{rng.randint(1, max(1, int(phases.count(name) * most)))}"

    first = turn * 5
    return [
        *([point(first + i)] for i in range(3)),
        [point(first + 3, 0.6), point(first + 4, 0.4)],
        [f"at {rng.random():.3f}"],
        [f"at {rng.uniform(0.3, 0.9):.3f}", f"at {rng.uniform(0.3, 0.8):.3f}"],
    ]


ENDINGS = (
    "test:1; test:2, test:1; half an export:1; new export:1; export:1; summary:1; new last.ckpt:2; last.ckpt:2; "
    "at 0.9, at 0.9"
)
EACH_STEP = (
    "new last.ckpt:5; last.ckpt:5; last.ckpt:9, new metrics.csv:1; half a checkpoint:8; row:7; "
    "half a row:9, half a row:1; batch:11; step:10, step:1; at 0.5; at 0.6"
)
SIGNALS = (
    "batch:5:{0}; batch:20:{0}; step:9:{0}; validation:4:{0}; row:13:{0}; tokens:2:{0}; test:1:{0}; "
    "batch:6:{0}, batch:7:{0}"
)


def special(data: Path) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Trainings that end in other ways or are asked to stop, and the plans of their stops; none: drawn ones."""
    plain = {"workers": 0, "packing": True, "accumulate": 1, "tokens": False, "interval": False}
    cls, mlm = (command(task, data, **plain) for task in ("cls", "mlm"))
    often = {task: command(task, data, **plain | {"accumulate": 4, "interval": True}) for task in ("cls", "mlm")}
    in_validation = "validation:5:SIGTERM, batch:2; half a checkpoint:2, batch:3:SIGINT"
    found = {
        "cls stopped early": ([*cls, *STOPS_EARLY], ENDINGS),
        "mlm stopped early": ([*mlm, *STOPS_EARLY], ENDINGS),
        "cls max_steps": ([*cls, "--trainer.max_steps", "17"], "new last.ckpt:2; last.ckpt:2; step:17; row:17, test:1"),
        "mlm without validation": (
            [*mlm, "--trainer.limit_val_batches", "0"],
            "new best.ckpt:1; best.ckpt:1; batch:20, test:1; last.ckpt:1",
        ),
        "mlm saved each step": ([*often["mlm"], "--save_minutes", "0.00001"], EACH_STEP),
        "cls saved each step": ([*cls, "--save_minutes", "0.00001"], EACH_STEP),
        "cls averaged": ([*often["cls"], *AVERAGED], ""),
        "cls signals": (cls, f"{SIGNALS.format('SIGTERM')}; {SIGNALS.format('SIGINT')}"),
        "mlm signals": ([*often["mlm"], "--data.num_workers", "2"], in_validation),
    }
    return {name: (a, [plan.split(", ") for plan in plans.split("; ") if plan]) for name, (a, plans) in found.items()}
