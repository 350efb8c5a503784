import json
import re
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
)

import lightning_nlp
from lightning_nlp import MaskedLanguageModel, SequenceClassifier
from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.tokens.tokenizer import train_wordpiece
from lightning_nlp.errors import UserError
from lightning_nlp.export.folder import export_run
from lightning_nlp.models.encoder import from_config
from tests.conftest import FACTS, cls_record, full_disk
from tests.data.tokens.test_preparation import WORDS
from tests.fitting import trainer

LABELS = ["bad", "neutral", "very good"]
TEXTS = ["La reĝo diris: ĝis!", "ŝi legis", "la " * 11]


def prepared(data):
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture(scope="module")
def classification_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cls")
    lines = [f"{' '.join(WORDS[i % 9 : i % 9 + 8])} {i},{LABELS[i % 3]}\n" for i in range(60)]
    (folder / "reviews.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    return prepared(TextClassificationDataModule(str(folder / "reviews.csv"), max_length=16, cache_dir=str(folder)))


@pytest.fixture(scope="module")
def mlm_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlm")
    lines = [f"{' '.join(WORDS[i % 9 : i % 9 + 8])} {i}\n" for i in range(100)]
    (folder / "sentences.txt").write_text("".join(lines), encoding="utf-8")
    sizes = {"max_length": 16, "val_fraction": 0.1, "test_fraction": 0.1}
    return prepared(MaskedLanguageModelingDataModule(str(folder / "sentences.txt"), **sizes, cache_dir=str(folder)))


def small_network(auto_class, data, **settings):
    torch.manual_seed(0)
    sizes = {"n_layers": 1, "n_heads": 2, "dim": 16, "hidden_dim": 32, "max_position_embeddings": data.max_length}
    config = DistilBertConfig(**sizes, vocab_size=len(data.tokenizer), pad_token_id=data.tokenizer.pad_token_id)
    network = from_config(auto_class, config, **settings)
    for parameter in network.parameters():  # no zeros or ones that a fresh network would have too
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def classifier(data):
    names = dict(enumerate(data.label_names))
    settings = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    settings["problem_type"] = "single_label_classification"
    return small_network(AutoModelForSequenceClassification, data, **settings)


def export(network, data, run_dir, **facts):
    return export_run(SimpleNamespace(network=network), data, run_dir, {**FACTS, **facts})


def logits(network, tokenizer):
    encoded = tokenizer(TEXTS, return_tensors="pt", padding=True, truncation=True)
    with torch.inference_mode():  # a copy lies at the start of its memory, where equal weights give equal bits
        return deepcopy(network).eval()(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits


def test_a_classifier_opens_as_any_hugging_face_folder(tmp_path, classification_data):
    network = classifier(classification_data)
    folder = export(network, classification_data, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name] == ["export"]
    reloaded, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    assert logits(reloaded, tokenizer).equal(logits(network, classification_data.tokenizer))
    assert list(reloaded.config.id2label.values()) == list(reloaded.config.label2id) == LABELS
    assert reloaded.config.problem_type == "single_label_classification"
    assert tokenizer.tokenize("Ŝi Reĝo") == ["ŝi", "reĝo"], "accents survive"
    assert tokenizer.model_max_length == 16
    # and older versions and other users can open it
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast", "transformers 4 has no TokenizersBackend"
    assert config["model_input_names"] == ["input_ids", "attention_mask"], "else it hands token types to a DistilBERT"
    assert not {"backend", "is_local", "local_files_only"} & set(config)
    (tmp_path / "usual").touch()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {(tmp_path / "usual").stat().st_mode & 0o777}


def test_a_masked_language_model_keeps_its_tied_weights(tmp_path, mlm_data):
    network = small_network(AutoModelForMaskedLM, mlm_data)
    folder = export(network, mlm_data, tmp_path)
    reloaded = AutoModelForMaskedLM.from_pretrained(folder)
    assert reloaded.get_output_embeddings().weight.data_ptr() == reloaded.get_input_embeddings().weight.data_ptr()
    written = load_file(folder / "model.safetensors")
    assert sum(tensor.numel() for tensor in written.values()) == sum(p.numel() for p in network.parameters())
    assert logits(reloaded, AutoTokenizer.from_pretrained(folder)).equal(logits(network, mlm_data.tokenizer))


@pytest.mark.parametrize("how", ["a bit", "lost", "tokenizer"])
def test_an_altered_write_is_no_export(how, tmp_path, classification_data, monkeypatch):
    network = classifier(classification_data)
    other = train_wordpiece(["Other words, with other ids."] * 2, vocab_size=60)
    save, save_tokenizer = type(network).save_pretrained, type(other).save_pretrained

    def save_altered(self, folder, **kwargs):
        weights = {name: value.clone() for name, value in self.state_dict().items()}
        bias = weights.pop("classifier.bias")
        bias[0] = torch.nextafter(bias[0], torch.tensor(10.0))
        save(self, folder, state_dict=weights | ({"classifier.bias": bias} if how == "a bit" else {}), **kwargs)

    if how == "tokenizer":
        monkeypatch.setattr(type(other), "save_pretrained", lambda self, folder: save_tokenizer(other, folder))
    else:
        monkeypatch.setattr(type(network), "save_pretrained", save_altered)
    with pytest.raises(
        RuntimeError, match=r"not reproduce the weights classifier\.bias|The tokenizer .* encodes differently"
    ):
        export(network, classification_data, tmp_path)
    assert not (tmp_path / "export").exists()


def test_a_full_disk_leaves_what_was_there(tmp_path, classification_data):
    model, before = classifier(classification_data), {}
    for _ in range(2):
        with pytest.raises(UserError, match=r"export cannot be written to .*: free some space there"), full_disk():
            export(model, classification_data, tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        export(model, classification_data, tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def evaluated(run_dir, temperature, step=1234):
    record = cls_record(step)
    part, curve = record["by_class"][0], record["reliability"]
    figures = {"temperature": temperature, "ece_before": 0.2, "ece_after": 0.1, "loss_before": 0.5, "loss_after": 0.4}
    record |= {"examples": 60, "calibration": figures, "reliability_calibrated": curve}
    record["by_class"] = [part | {"label": label} for label in LABELS]
    (run_dir / "evaluation").mkdir(parents=True)
    for name in (f"val-{step:08d}", "test"):
        (run_dir / "evaluation" / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")


def test_a_calibrated_export_needs_no_more_than_a_pipeline(tmp_path, classification_data):
    network = classifier(classification_data)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluated(tmp_path, temperature=2.5)
    folder = export(network, classification_data, tmp_path)
    pipeline = transformers.pipeline("text-classification", model=str(folder), device="cpu")
    raw = logits(network, classification_data.tokenizer)
    for text, expected in zip(TEXTS, (raw / 2.5).softmax(-1), strict=True):
        found = {item["label"]: item["score"] for item in pipeline(text, top_k=None)}
        assert found == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)), abs=1e-6)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["calibration"]["temperature"], config["calibration"]["fitted_on"]) == (2.5, "validation")
    assert list(config["thresholds"]) == LABELS
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "T = 2.5000" in card
    drawn = "precision_recall roc reliability accuracy_by_length".split()
    assert re.findall(r"\]\((\w+)\.svg\)", card) == drawn
    assert "<style>" in (folder / "roc.svg").read_text(encoding="utf-8")
    # the module is as it was
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert not hasattr(network.config, "calibration")
    # and who trains on from the export does not take its thresholds along
    again = AutoModelForSequenceClassification.from_pretrained(folder)
    assert again.config.calibration["temperature"] == 2.5
    folder = export(again, classification_data, tmp_path / "second")
    assert not {"calibration", "thresholds"} & json.loads((folder / "config.json").read_text()).keys()


@pytest.mark.parametrize(
    ("step", "settings", "why"),
    [
        (1234, {"calibrated": False}, "it was switched off (`--calibrate false`)"),
        (7, {}, "the run has no record of its best checkpoint"),  # resumed into a new run, and not validated since
    ],
)
def test_what_is_not_calibrated(tmp_path, classification_data, caplog, step, settings, why):
    network = classifier(classification_data)
    evaluated(tmp_path, temperature=2.5, step=step)
    with caplog.at_level("INFO"):
        folder = export_run(SimpleNamespace(network=network), classification_data, tmp_path, FACTS, **settings)
    written = load_file(folder / "model.safetensors")
    assert all(written[name].equal(value) for name, value in network.state_dict().items())
    assert not {"calibration", "thresholds"} & json.loads((folder / "config.json").read_text()).keys()
    assert f"not calibrated: {why}" in (folder / "README.md").read_text(encoding="utf-8")
    assert ("not calibrated" in caplog.text) is not bool(settings), "who switched it off knows"


@pytest.mark.parametrize(
    ("pretrained", "named"), [("org/name", True), ("/scratch/mallory/name", False), ("FOLDER", False)]
)
def test_a_base_model_is_named_if_it_is_the_hubs(tmp_path, classification_data, pretrained, named):
    pretrained = str(tmp_path) if pretrained == "FOLDER" else pretrained
    module = SimpleNamespace(network=classifier(classification_data), hparams={"pretrained": pretrained})
    card = (export_run(module, classification_data, tmp_path, FACTS) / "README.md").read_text(encoding="utf-8")
    assert ("base_model: org/name" in card) is named
    assert named or "base_model" not in card


def fitted(tmp_path, data, module_class=SequenceClassifier):
    """A module that a plain Trainer has fitted."""
    module = module_class(n_layers=1, n_heads=2, dim=16, hidden_dim=32)
    trainer(tmp_path, max_steps=1).fit(module, data)
    return module


@pytest.mark.filterwarnings("ignore")  # Lightning's, which the command line silences
@pytest.mark.parametrize("task", ["classification", "mlm"])
def test_a_module_that_a_plain_trainer_fitted_is_saved(task, request, tmp_path, capsys):
    data = request.getfixturevalue(f"{task}_data")
    module = fitted(tmp_path, data, {"classification": SequenceClassifier, "mlm": MaskedLanguageModel}[task])
    folder = lightning_nlp.save_pretrained(module, data, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [folder]
    task_name, text = {
        "classification": ("text-classification", "La reĝo <br /> diris"),
        "mlm": ("fill-mask", "La reĝo [MASK]"),
    }[task]
    theirs = transformers.pipeline(task_name, model=str(folder), device="cpu")(text)[0]
    (ours,) = lightning_nlp.load_predictor(folder)([text])
    if task == "mlm":
        assert theirs["score"] == pytest.approx(ours["fillings"][0][0]["probability"], abs=1e-5)
    else:
        assert theirs["score"] == pytest.approx(ours["probabilities"][theirs["label"]], abs=1e-5)
    with pytest.raises(UserError, match="exists already"):
        lightning_nlp.save_pretrained(module, data, folder)
    (folder / "stale.txt").touch()
    (tmp_path / "link").symlink_to(folder)
    lightning_nlp.save_pretrained(module, data, tmp_path / "link", overwrite=True)
    assert not (folder / "stale.txt").exists()
    assert (tmp_path / "link").is_symlink()
    assert "weights:" not in capsys.readouterr().err, "transformers' bars"


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_saved_is_one_sentence(tmp_path, classification_data, mlm_data):
    with pytest.raises(UserError, match="Nothing to export: fit the module"):
        lightning_nlp.save_pretrained(SequenceClassifier(), classification_data, tmp_path / "mine")
    module = fitted(tmp_path, classification_data)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/mine cannot be written .*: free some space, or give another folder"):
        lightning_nlp.save_pretrained(module, classification_data, tmp_path / "file" / "mine")
    for precious in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match=r"exists already: give another; overwrite=True replaces only"):
            lightning_nlp.save_pretrained(module, classification_data, precious, overwrite=True)
    with pytest.raises(UserError, match="tokenizer differs from the module's"):
        lightning_nlp.save_pretrained(module, mlm_data, tmp_path / "mine")
    module.network.classifier = torch.nn.Sequential(module.network.classifier)
    with pytest.raises(UserError, match=r"no classifier\.0\.weight.*: keep its checkpoint"):
        lightning_nlp.save_pretrained(module, classification_data, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
