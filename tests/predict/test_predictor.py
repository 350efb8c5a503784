import csv
import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tokenizers.processors import RobertaProcessing
from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

from lightning_nlp import load_predictor
from lightning_nlp.data.batches.collators import collate, packed_batch
from lightning_nlp.data.texts.demo_pairs import demo_pairs
from lightning_nlp.data.texts.normalize import PAIR, join_pair
from lightning_nlp.data.tokens.tokenizer import train_bpe, train_wordpiece
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import proof
from lightning_nlp.models import packing
from lightning_nlp.predict.predictor import make_predictor, owners
from lightning_nlp.training.peaks import float32_products
from tests.bad_input.check import fails
from tests.conftest import invoke


def test_owners():
    sequences = [torch.arange(n).numpy() for n in (7, 4, 4, 1)]
    packed = packed_batch(sequences)
    assert owners(packed, torch.tensor([0, 6, 7, 11, 14, 15])) == [0, 0, 1, 2, 2, 3]
    padded = collate(sequences, packed=False)
    assert owners(padded, torch.tensor([0, 6, 8, 16, 31])) == [0, 0, 1, 2, 3]


TEXTS = ["good<br />film", "", "  ", "bad film with a plot " * 40 + "good", "a &amp; b\u00a0film"]


@pytest.mark.parametrize("truncation", ["head", "head_tail"])
def test_an_export_answers_as_predict_does_wherever_it_lies(truncation, tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--data.truncation", truncation, "--runs_dir", tmp_path).run
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    outcome = invoke("predict", "--run", run, "--input", tmp_path / "texts.jsonl", "--output", "-")
    expected = [json.loads(line) for line in outcome.out.splitlines()]
    moved = (run / "export").rename(tmp_path / "elsewhere")
    found = load_predictor(moved)(TEXTS)
    assert found == expected
    assert [record["label"] is None for record in found] == [False, True, True, False, False]
    for wrong in ("one text", [None]):  # a string is a list of letters
        with pytest.raises(UserError, match=r"takes a list of texts: give \[text\]"):
            load_predictor(moved)(wrong)


def test_a_training_may_use_tf32_but_neither_the_proof_nor_a_prediction(tiny_cls, tmp_path, monkeypatch):
    seen = {}

    def note(module, function):
        whole = getattr(module, function)

        def noting(*args, **kwargs):
            seen.setdefault(function, set()).add(torch.get_float32_matmul_precision())
            return whole(*args, **kwargs)

        monkeypatch.setattr(module, function, noting)

    note(packing, "forward")
    note(proof, "predictions")
    before = torch.get_float32_matmul_precision()
    run = invoke("fit", *tiny_cls, "--trainer.max_steps", "2", "--runs_dir", tmp_path).run
    assert seen == {"forward": {"high"}, "predictions": {"highest"}}
    assert torch.get_float32_matmul_precision() == before
    seen.clear()
    with float32_products("high"):  # as a user may have set it
        load_predictor(run / "export")(["a film"])
        assert torch.get_float32_matmul_precision() == "high"
    assert seen == {"forward": {"highest"}}


def pretrained_of(architecture, folder, texts):
    """A tiny network of random weights that depend much on token types, and a tokenizer for these texts."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if architecture == "roberta":
        tokenizer = train_bpe(texts, vocab_size=400)
        ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[SEP]", "[CLS]")]
        tokenizer.backend_tokenizer.post_processor = RobertaProcessing(*ends)
    else:
        tokenizer = train_wordpiece(texts, vocab_size=300)
    sizes |= {"embedding_size": 16} if architecture in ("albert", "electra") else {}
    config = AutoConfig.for_model(architecture, vocab_size=400, pad_token_id=0, max_position_embeddings=80, **sizes)
    network = AutoModelForSequenceClassification.from_config(config)
    for name, weight in network.named_parameters():
        weight.data *= 20 if "token_type" in name else 5 if weight.ndim == 2 else 1
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    rows = [[*text.split(PAIR), label] for text, label in demo_pairs(150)]
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("premise", "hypothesis", "label"), *rows])
    return path


COLUMNS = "[premise, hypothesis]"
PAIRS = [
    ("Ben<br />liked the film.", "Ann  saw it. " * 12),
    ("a", ""),
    ("The soup was bad. " * 9, "x [SEP] y"),
    ("b", "c"),
]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "albert", "deberta-v2", "distilbert"])
def test_pairs_are_those_of_the_pipeline_packed_or_not(architecture, pairs, tiny_cls, tmp_path):
    texts = [text.replace(PAIR, " ") for text, _ in demo_pairs(150)]
    folder = pretrained_of(architecture, tmp_path / "model", texts)
    data = ["--data.path", pairs, "--data.text_column", COLUMNS, "--trainer.max_epochs", "1", "--runs_dir", tmp_path]
    run = invoke("fit", *tiny_cls, "--model.pretrained", folder, "--model.lr", "1e-3", *data).run
    assert json.loads((run / "export/config.json").read_text())["lightning_nlp"]["text_column"] == COLUMNS[1:-1].split(
        ", "
    )
    found = load_predictor(run / "export")(PAIRS)
    assert [record["label"] is None for record in found] == [False, True, False, False]
    with (tmp_path / "in.jsonl").open("w") as file:
        file.writelines(
            json.dumps(dict(zip(["hypothesis", "premise"], pair[::-1], strict=False))) + "\n" for pair in PAIRS
        )
    predict = ["predict", "--run", run, "--input", tmp_path / "in.jsonl", "--output", "-"]
    assert [json.loads(line) for line in invoke(*predict).out.splitlines()] == found
    explained = json.loads(invoke(*predict, "--explain", "true").out.splitlines()[0])["words"]
    assert [word for word, _ in explained].count("|") == 1
    settings = json.loads((run / "export/config.json").read_text())["lightning_nlp"] | {"packing": False}
    padded = make_predictor(run / "export", settings, precision="32-true", tokens_per_batch=4096, top_k=1)
    classify = pipeline("text-classification", str(run / "export"), top_k=None, truncation=True, max_length=32)
    by_pipeline = [classify({"text": first, "text_pair": second}) for first, second in PAIRS]
    for record, other, theirs in zip(found, padded([*enumerate(map(join_pair, PAIRS))]), by_pipeline, strict=True):
        if record["label"] is not None:
            probabilities = {entry["label"]: entry["score"] for entry in theirs}
            assert record["probabilities"] == pytest.approx(probabilities, abs=1e-5)
            assert record["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    code = re.findall(r"```python\n(.*?)```", (run / "export/README.md").read_text(), re.DOTALL)
    assert '{"text": "A premise.", "text_pair": "A hypothesis."}' in code[0]
    assert '[("A premise.", "A hypothesis.")]' in code[1]
    types = any(name.endswith("token_type_embeddings.weight") for name in load_file(run / "export/model.safetensors"))
    assert ("token_type_ids" in classify.tokenizer(*PAIRS[0])) == (types and architecture != "roberta")
    for wrong in (["a text"], [("a", "b", "c")], "ab", [("a", None)]):
        with pytest.raises(UserError, match=r"reads pairs of texts: give a list of tuples \(premise, hypothesis\)"):
            load_predictor(run / "export")(wrong)
    if architecture == "bert":
        (tmp_path / "in.txt").write_text("a text\n")
        fails([*predict[:3], "--input", tmp_path / "in.txt"], "in.txt has a text a line", "'[premise, hypothesis]'")
        fails([*predict, "--text_column", "premise"], "--text_column is premise", "'[premise, hypothesis]'")
        fails([*predict, "--text_column", "[premise]"], "--text_column is [premise]", "two different ones")
        fails([*predict, "--text_column", "[premise, other]"], "no column 'other'", "--text_column")
        report = json.loads((run / "evaluation/test.json").read_text())
        assert all(" | " in mistake["text"] for mistake in report["mistakes"])


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_the_calls_that_the_card_shows_run(task, request, capsys, monkeypatch):
    run = request.getfixturevalue(f"{task}_run")
    monkeypatch.chdir(run)
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    codes = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(codes) == 2
    for code in codes:
        exec(code, {})
    first, second = capsys.readouterr().out.splitlines()
    best = second.split("'label': '")[1].split("'")[0] if task == "cls" else second.split("'token': '")[1].split("'")[0]
    assert f"'{best}'" in first


def test_a_folder_that_does_not_say_how_texts_are_read(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not say how texts are read.*No such file.*: give the folder of"):
        load_predictor(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "export").mkdir()
    with pytest.raises(UserError, match=f": give {re.escape(str(tmp_path / 'export'))}"):
        load_predictor(tmp_path)


def test_an_export_of_the_first_version_is_read_by_the_command(cls_run, tmp_path):
    run = shutil.copytree(cls_run, tmp_path / "old")
    config = json.loads((run / "export" / "config.json").read_text(encoding="utf-8"))
    del config["lightning_nlp"]
    (run / "export" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=f"use `python train.py predict --run {re.escape(str(run))}`"):
        load_predictor(run / "export")
    (run / "texts.txt").write_text("a good film\n", encoding="utf-8")
    assert invoke("predict", "--run", run, "--input", run / "texts.txt", "--output", "-").code == 0
