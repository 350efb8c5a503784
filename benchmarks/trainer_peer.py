"""Contenders a, b and c: the HF Trainer, with the flags that `vs_trainer.py` chose. Started by it, one process a run.

a  the recipe as written: fp32, 16 examples a step, everything padded to the longest review (cls), default flags
b  the flags that the Trainer's documentation offers: bf16, groups by length, padding to multiples of 8, fused AdamW
c  b without attention dropout, and with as many examples a step as make our tokens a step
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from yardstick import Yardstick

RECIPE_MAP_BATCH = 1000  # what `Dataset.map(batched=True)` hands the tokenizer at a time


def main(job_file: str) -> None:
    """Train, measure, write the result."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    set_seed(job["seed"])
    folder = Path(job["prepared"])
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    recipe = job["contender"] == "a"
    examples = load_examples(job, tokenizer, recipe)
    steps_per_epoch = math.ceil(len(examples) / job["batch_size"])
    if job["steps"] is None and not job["until"]:
        job["steps"] = steps_per_epoch
    multiple = None if recipe else 8
    collator = (
        DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, pad_to_multiple_of=multiple)
        if job["task"] == "mlm"
        else DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple)
    )
    network = load_network(job, folder / "model", recipe)
    yardstick = Yardstick(job, batch_size=job["batch_size"])
    with tempfile.TemporaryDirectory() as output:
        trainer = MeasuredTrainer(
            model=network,
            args=training_arguments(job, output, steps_per_epoch, recipe),
            train_dataset=examples,
            data_collator=collator,
        )
        trainer.add_callback(Clock(yardstick, trainer))
        trainer.train()
    yardstick.finish(network)


def load_examples(job: dict[str, Any], tokenizer: Any, recipe: bool) -> list[dict[str, Any]]:
    """The training texts as token ids; for the recipe's classifier padded at once, a thousand at a time."""
    lines = (Path(job["prepared"]) / "texts" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    texts = [row["text"] for row in rows]
    settings: dict[str, Any] = {"truncation": True, "max_length": job["max_length"]}
    if job["task"] == "mlm":
        # the collator needs the special tokens' places; without them it asks the tokenizer for each row, as the recipe
        encoded = [dict(tokenizer(texts, return_special_tokens_mask=not recipe, **settings))]
    else:
        blocks = range(0, len(texts), RECIPE_MAP_BATCH)
        encoded = [dict(tokenizer(texts[i : i + RECIPE_MAP_BATCH], padding=recipe, **settings)) for i in blocks]
    columns = {name: [value for part in encoded for value in part[name]] for name in encoded[0]}
    columns.pop("token_type_ids", None)
    if job["task"] == "cls":
        names = sorted({str(row["label"]) for row in rows})
        columns["labels"] = [names.index(str(row["label"])) for row in rows]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def load_network(job: dict[str, Any], folder: Path, recipe: bool) -> Any:
    """The common initial weights, with the dropout that the checkpoint has, or for c without that of attention."""
    config = AutoConfig.from_pretrained(folder)
    if job["contender"] == "c":
        for name in ("attention_dropout", "attention_probs_dropout_prob"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
    auto_class = AutoModelForMaskedLM if job["task"] == "mlm" else AutoModelForSequenceClassification
    network = auto_class.from_pretrained(folder, config=config, dtype=torch.float32)
    # Weights mapped from a file lie at addresses on which a CPU is slower. Ours are moved, and a training from scratch
    # or from an fp16 checkpoint never has them there, so these are moved too: the file is an artefact of the benchmark.
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()
    return network


def training_arguments(job: dict[str, Any], output: str, steps_per_epoch: int, recipe: bool) -> TrainingArguments:
    """The recipe's flags, or the best that are documented; the same learning rate and schedule as ours."""
    total = int(job["epochs"] * steps_per_epoch)
    flags: dict[str, Any] = {
        "output_dir": output,
        "per_device_train_batch_size": job["batch_size"],
        "learning_rate": job["lr"],
        "weight_decay": 0.01,
        "seed": job["seed"],
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": job["device"] == "cpu",
    }
    if job["until"]:
        flags |= {"num_train_epochs": job["epochs"], "warmup_steps": math.ceil(0.06 * total)}
    else:
        flags |= {"max_steps": job["warmup"] + job["steps"], "lr_scheduler_type": "constant"}
    if not recipe:
        flags |= {
            "bf16": job["bf16"],
            "optim": "adamw_torch_fused",
            "train_sampling_strategy": "group_by_length",
            "dataloader_num_workers": job["workers"],
            "dataloader_persistent_workers": job["workers"] > 0,
            "logging_nan_inf_filter": False,  # which would wait for the device in each step
        }
    return TrainingArguments(**flags)


class MeasuredTrainer(Trainer):
    """The Trainer, unchanged but for keeping what the yardstick needs of a step."""

    batch: dict[str, Any]
    loss: torch.Tensor

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Keep the batch."""
        self.batch = dict(inputs)
        self.loss = super().training_step(model, inputs, *args, **kwargs)
        return self.loss


class Clock(TrainerCallback):
    """Tells the yardstick of each step, and stops when it has enough."""

    def __init__(self, yardstick: Yardstick, trainer: MeasuredTrainer) -> None:
        self.yardstick = yardstick
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.yardstick.begin(kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop where the yardstick is done."""
        if self.yardstick.step(kwargs["model"], self.trainer.batch, self.trainer.loss):
            control.should_training_stop = True


if __name__ == "__main__":
    main(sys.argv[1])
