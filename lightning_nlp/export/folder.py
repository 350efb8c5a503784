"""The best checkpoint as an ordinary Hugging Face folder, reloaded and compared before it counts."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from safetensors import SafetensorError

from lightning_nlp.atomic_files import atomic_path
from lightning_nlp.data.texts.normalize import clean_text
from lightning_nlp.data.tokens.exported_tokenizer import write_tokenizer
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import takes_token_types
from lightning_nlp.evaluation.proof import prove
from lightning_nlp.export.model_card import model_card
from lightning_nlp.hub.pretrained import tokenizer_hash
from lightning_nlp.models.other_problems import in_its_unit
from lightning_nlp.predict.calibration import Calibration, calibrate, read_record, scaled
from lightning_nlp.predict.predictor import READING
from lightning_nlp.tasks import Task, task_of_network
from lightning_nlp.training.precision import float32_products

FEWEST = 50  # texts, or masked tokens: charts of a smaller test are not worth showing
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@float32_products("highest")
def save_pretrained(module: Any, datamodule: Any, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Export a fitted module as a folder that `transformers` and `load_predictor` can load.

    The tokenizer cleans texts as the data module did. Only `fit` adds card, calibration and proof.

    Args:
        module: A SequenceClassifier or MaskedLanguageModel; its network is moved to the CPU.
        datamodule: The data module it was fitted on, after `setup`.
        folder: Written whole or not at all.
        overwrite: Replace an earlier export and everything in its folder.

    Raises:
        UserError: If the folder exists or cannot be written, or if transformers could not open it.
    """
    folder = Path(folder)
    if folder.exists() and not (overwrite and (folder / "config.json").is_file()):
        raise UserError(f"{folder} exists already: give another; overwrite=True replaces only an earlier export.")
    if module.network is None or getattr(datamodule, "tokenizer", None) is None:
        raise UserError("Nothing to export: fit the module first; new data need prepare_data() and setup('fit').")
    if module.tokenizer is not None and tokenizer_hash(module.tokenizer) != tokenizer_hash(datamodule.tokenizer):
        raise UserError("The data module's tokenizer differs from the module's: give the one that it was fitted on.")
    try:
        network = module.network.to("cpu").eval()
        unit = in_its_unit(network, getattr(module, "problem", None))
        with atomic_path(Path(os.path.realpath(folder))) as unfinished, unit:
            _write(network, datamodule, unfinished)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be written ({error}): free some space, or give another folder.") from error
    return folder


@float32_products("highest")
def export_run(
    module: Any,
    datamodule: Any,
    run_dir: Path,
    facts: dict[str, Any],
    *,
    calibrated: bool = True,
    suspects: Sequence[str] = (),
) -> Path:
    """Write `run_dir/export`, which `transformers.pipeline` can load, with a model card and its charts.

    Args:
        module: A SequenceClassifier or MaskedLanguageModel with the weights to export.
        calibrated: Divide a classifier's logits by the temperature fitted on validation.
        suspects: Callbacks that may have changed the weights, for the message of a failed proof.

    Raises:
        RuntimeError: If loading the files does not reproduce weights and tokens.
        UserError: If they cannot be written, or do not predict what was measured.
    """
    from lightning_nlp.evaluation.drawing import draw
    from lightning_nlp.evaluation.figures import figures_of

    network, step = module.network.to("cpu").eval(), facts["checkpoint_step"]
    task = task_of_network(type(network).__name__, network.config.problem_type)
    calibration = _calibration(network, task, run_dir, step, calibrated)
    record = read_record(run_dir, "test") or {}
    enough = record.get("examples", record.get("masked_tokens", 0)) >= FEWEST
    applied = {"calibration": None} if calibration.temperature == 1 else {}
    figures = figures_of(record | applied) if enough else []
    try:
        unit = in_its_unit(network, getattr(module, "problem", None))
        with atomic_path(run_dir / "export") as unfinished, scaled(network, calibration), unit:
            reloaded = _write(network, datamodule, unfinished)
            for figure in figures:
                (unfinished / f"{figure.name}.svg").write_text(draw(figure, alone=True), encoding="utf-8")
            card = model_card(
                network,
                datamodule.facts,
                task,
                facts,
                name=run_dir.parent.name,
                reading=datamodule.reading,
                base_model=_base_model(module),
                record=record,
                calibrated=calibration,
                figures=figures,
            )
            (unfinished / "README.md").write_text(card, encoding="utf-8")
            prove(reloaded, run_dir / "evaluation", step, chosen=bool(facts["validation"]), suspects=suspects)
    except (OSError, SafetensorError) as error:
        message = f"The export cannot be written to {run_dir} ({error}): free some space there."
        raise UserError(message, can_go_on=True) from error
    return run_dir / "export"


def _write(network: Any, datamodule: Any, folder: Path) -> Any:
    """Write network and tokenizer, and return the network as transformers loads it, equal to the bit."""
    import transformers
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    reading, tokenizer, architecture = datamodule.reading, datamodule.tokenizer, type(network).__name__
    task = task_of_network(architecture, network.config.problem_type)
    setattr(network.config, READING, reading)
    network.save_pretrained(folder)
    typed = takes_token_types(network) if "text_column" in reading else None
    write_tokenizer(tokenizer, folder, network, clean=reading["clean"], strip=not task.fills_masks, typed=typed)
    for weights in folder.glob("*.safetensors"):  # safetensors makes them private, whatever the umask
        shutil.copymode(folder / "config.json", weights)
    reloaded = getattr(transformers, architecture).from_pretrained(folder, ignore_mismatched_sizes=True).eval()
    theirs, ours = reloaded.state_dict(), network.state_dict()
    if other := [name for name in ours if name not in theirs or theirs[name].shape != ours[name].shape]:
        run, cure = folder.parent, "keep its checkpoint, and open that with the module's load_from_checkpoint"
        if (run / "config.yaml").is_file():
            cure = (
                f"the run and its test results are in {run}; to repeat the test, give `test` --config "
                f"{run}/config.yaml --ckpt_path {run}/checkpoints/best.ckpt"
            )
        missing = ", ".join(other[:5])
        raise UserError(
            f"There is no export, since transformers' {architecture} has no {missing} of this shape: {cure}."
        )
    if wrong := [name for name in theirs if not torch.equal(ours.get(name, theirs[name][:0]), theirs[name])]:
        raise RuntimeError(f"The export {folder} does not reproduce the weights {', '.join(wrong[:5])}")
    texts = ["Ĝis<br />revido,\u00a0 said the film."] * (2 if "text_column" in reading else 1)
    settings: dict[str, Any] = {"truncation": True, "max_length": reading["max_length"]}
    expected = tokenizer(*map(clean_text if reading["clean"] else str, texts), **settings)
    if expected["input_ids"] != transformers.AutoTokenizer.from_pretrained(folder)(*texts, **settings)["input_ids"]:
        raise RuntimeError(f"The tokenizer in the export {folder} encodes differently from the one used in training")
    return reloaded


def _calibration(network: Any, task: Task, run_dir: Path, step: int, wanted: bool) -> Calibration:
    """The calibration to apply; tells the user if it is not the wanted one."""
    if not task.has_thresholds:
        return Calibration()
    if task.calibrated and not wanted:
        return Calibration("it was switched off (`--calibrate false`)")
    calibration = calibrate(run_dir, step, network)
    if task.calibrated and calibration.reason:
        rank_zero_info(f"The export's probabilities are not calibrated: {calibration.reason}.")
    return calibration


def _base_model(module: Any) -> str | None:
    """The fine-tuned model's Hub id; a local folder's name is private."""
    name = getattr(module, "hparams", {}).get("pretrained")
    return name if name and not Path(name).exists() and HUB_ID.fullmatch(name) else None
