"""The best checkpoint as an ordinary Hugging Face folder, reloaded and compared before it counts as done."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lightning_nlp import __version__
from lightning_nlp.data.cache import sync_tree
from lightning_nlp.errors import UserError
from lightning_nlp.models.encoder import realign
from lightning_nlp.privacy import public_command

PIPELINE_TAGS = {"classification": "text-classification", "mlm": "fill-mask"}


def export_run(module: Any, datamodule: Any, run_dir: Path, facts: dict[str, Any]) -> Path:
    """Write `run_dir/export`: config, safetensors, tokenizer, label names and a model card.

    Args:
        module: A SequenceClassifier or MaskedLanguageModel that holds the weights to export.
        datamodule: The data it was trained on: its `tokenizer` and `facts`.
        run_dir: The run's directory.
        facts: What `fit` gathered, for the model card.

    Returns:
        The folder; `transformers.pipeline` opens it.

    Raises:
        RuntimeError: If what was written does not give back the same weights, tokens and outputs.
        UserError: If it cannot be written.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of the seconds that writing and reading take
    target, unfinished, replaced = (run_dir / name for name in ("export", "export.unfinished", "export.replaced"))
    if replaced.is_dir() and not target.exists():  # killed between the two renames below
        replaced.rename(target)
    shutil.rmtree(replaced, ignore_errors=True)
    shutil.rmtree(unfinished, ignore_errors=True)
    network = module.network.to("cpu").eval()
    try:
        network.save_pretrained(unfinished)
        datamodule.tokenizer.save_pretrained(unfinished)
        task = "mlm" if network.config.architectures[0].endswith("ForMaskedLM") else "classification"
        (unfinished / "README.md").write_text(model_card(network, datamodule.facts, task, facts), encoding="utf-8")
        compare_reloaded(unfinished, network, datamodule.tokenizer, max_length=datamodule.max_length)
        sync_tree(unfinished)
        if target.exists():  # a resumed training exports anew
            target.rename(replaced)
            try:
                unfinished.rename(target)
            except OSError:
                replaced.rename(target)
                raise
            shutil.rmtree(replaced)
        else:
            unfinished.rename(target)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"The export cannot be written to {run_dir} ({error}): free some space there and repeat the command with "
            "--ckpt_path last."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def compare_reloaded(folder: Path, network: Any, tokenizer: Any, *, max_length: int) -> None:
    """Load an export with the Auto classes and compare it with the network it was made from.

    Args:
        folder: The export.
        network: The trained network, on the CPU and in evaluation mode.
        tokenizer: Its tokenizer.
        max_length: The most tokens that it may be given.

    Raises:
        RuntimeError: If a weight, a token or an output differs by a single bit.
    """
    import transformers

    reloaded = getattr(transformers, network.config.architectures[0]).from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    theirs, ours = reloaded.state_dict(), network.state_dict()
    wrong = sorted(set(theirs) ^ set(ours)) or [name for name in ours if not torch.equal(ours[name], theirs[name])]
    if wrong:
        raise RuntimeError(f"The export {folder} does not give back the weights {', '.join(wrong[:5])}")
    text = "Ĝis revido, said the film."
    settings: dict[str, Any] = {"truncation": True, "max_length": max_length, "return_tensors": "pt"}
    encoded = tokenizer(text, **settings)
    if not torch.equal(encoded["input_ids"], tokens(text, **settings)["input_ids"]):
        raise RuntimeError(f"The tokenizer in the export {folder} gives other tokens than the one trained with")
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    realign(network)
    realign(reloaded)
    with torch.inference_mode():
        if not torch.equal(network(**inputs).logits, reloaded(**inputs).logits):
            raise RuntimeError(f"The model in the export {folder} gives other outputs than the one trained")


def model_card(network: Any, data_facts: dict[str, Any], task: str, facts: dict[str, Any]) -> str:
    """The export's README.md, from the run's own facts.

    Args:
        network: The trained network.
        data_facts: The data module's `facts`.
        task: "classification" or "mlm".
        facts: What `fit` gathered.

    Returns:
        Markdown with the Hub's front matter.
    """
    import lightning
    import transformers

    versions = {
        "lightning_nlp": __version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "transformers": transformers.__version__,
    }
    parameters = sum(parameter.numel() for parameter in network.parameters())
    metrics = [f"| {name} | {value:.4f} |" for name, value in {**facts["validation"], **facts["test"]}.items()]
    sizes = [
        f"| {split} | {data_facts[split]['texts']:,} | {data_facts[split]['tokens']:,} |"
        for split in ("train", "validation", "test")
    ]
    speed = "" if facts["tokens_per_s"] is None else f", {facts['tokens_per_s']:,.0f} tokens/s"
    trained = f"Trained with lightning_nlp on {data_facts['source']}."
    if task == "classification":
        trained += f" Labels: {', '.join(map(str, data_facts['label_names']))}."
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {PIPELINE_TAGS[task]}",
        "tags:",
        "- lightning_nlp",
        "---",
        "",
        f"# {network.config.architectures[0]}, {parameters / 1e6:.1f}M parameters",
        "",
        trained,
        "",
        "| metric | value |",
        "| --- | --- |",
        *metrics,
        "",
        "The checkpoint was chosen on the validation part; the test split was read once, for the figures above.",
        "",
        "| split | texts | tokens |",
        "| --- | --- | --- |",
        *sizes,
        "",
        *(f"- {line}" for line in data_facts["cleaning"]),
        "",
        f"{_counted(facts['epochs'], 'epoch')}, {_counted(facts['steps'], 'step')} in {facts['seconds']:.0f} s on "
        f"{facts['hardware']} in {facts['precision']}{speed}.",
        "",
        "```",
        public_command(facts["command"]),
        "```",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "Sizes: `" + json.dumps(sizes_of(network.config)) + "`",
        "",
    ]
    return "\n".join(lines)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sizes_of(config: Any) -> dict[str, int]:
    """An encoder's sizes, under transformers' common names."""
    names = ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size", "max_position_embeddings")
    return {name: getattr(config, name) for name in names if hasattr(config, name)}
