import csv
import json
import re

import pytest
import torch
from tokenizers.processors import RobertaProcessing
from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

from lightning_nlp import TextClassificationDataModule, load_predictor, open_run
from lightning_nlp.data.texts.demo_sentences import demo_pairs
from lightning_nlp.data.texts.normalize import PAIR, join_pair
from lightning_nlp.data.tokens.tokenizer import train_bpe, train_wordpiece
from lightning_nlp.errors import UserError
from lightning_nlp.predict.predictor import make_predictor
from tests.bad_input.check import fails
from tests.conftest import invoke


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
    sizes |= {"type_vocab_size": 1} if architecture == "roberta" else {}
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
    ("\u200b", "b"),
    ("The soup was bad. " * 9, "x [SEP] y"),
    ("b", "c"),
]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "albert", "deberta-v2", "distilbert"])
def test_pairs_are_those_of_the_pipeline_packed_or_not(architecture, pairs, tiny_cls, tmp_path):
    texts = [text.replace(PAIR, " ") for text, _ in demo_pairs(150)]
    folder = pretrained_of(architecture, tmp_path / "model", texts)
    data = ["--data.path", pairs, "--data.text_column", COLUMNS, "--trainer.max_epochs", "1", "--runs_dir", tmp_path]
    run = invoke("fit", *tiny_cls, "--model.pretrained", folder, "--model.lr", "1e-3", *data).run
    settings = json.loads((run / "export/config.json").read_text())["lightning_nlp"]
    assert settings["text_column"] == ["premise", "hypothesis"]
    found = load_predictor(run / "export")(PAIRS)
    unread = architecture != "roberta"  # of a zero-width space only BPE of bytes leaves something
    assert [record["label"] is None for record in found] == [False, True, unread, False, False]
    assert found[1]["reason"] == "a text of the pair has no words"
    with (tmp_path / "in.jsonl").open("w") as file:
        file.writelines(json.dumps({"hypothesis": second, "premise": first}) + "\n" for first, second in PAIRS)
    predict = ["predict", "--run", run, "--input", tmp_path / "in.jsonl", "--output", "-"]
    assert [json.loads(line) for line in invoke(*predict).out.splitlines()] == found
    explained = json.loads(invoke(*predict, "--explain", "true").out.splitlines()[0])["words"]
    assert [word for word, _ in explained].count("|") == 1
    settings["packing"] = False
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
    assert ("token_type_ids" in classify.tokenizer(*PAIRS[0])) == (architecture in ("bert", "electra", "albert"))
    for wrong in (["a text"], [("a", "b", "c")], "ab", [("a", None)]):
        with pytest.raises(UserError, match=r"reads pairs of texts: give a list of tuples \(premise, hypothesis\)"):
            load_predictor(run / "export")(wrong)
    if architecture == "bert":
        (tmp_path / "in.txt").write_text("a text\n")
        (tmp_path / "in.xlsx").write_text("")
        asked = """'["premise", "hypothesis"]'"""
        for given, *words in [
            (tmp_path / "in.txt", "in.txt has one text per line", asked),
            ("-", "- has one text per line", asked),
            (tmp_path / "none.txt", "none.txt: there is no such file"),
            (tmp_path, "is a folder"),
            (tmp_path / "in.xlsx", "in.xlsx has a format that is not supported", "--input"),
        ]:
            fails([*predict[:3], "--input", given], *words)
        fails([*predict, "--text_column", "premise"], "--text_column is premise", asked)
        fails([*predict, "--text_column", "[0, 1]"], "--text_column is [0, 1]", asked)
        fails([*predict, "--text_column", "[premise]"], "--text_column is [premise]", "two different ones")
        fails([*predict, "--text_column", "[premise, other]"], "no column 'other'", "--text_column")
        with pytest.raises(UserError, match=r"fills nothing in 'a \[MASK\]'"):
            open_run(run).fill("a [MASK]")
        report = json.loads((run / "evaluation/test.json").read_text())
        assert all(" | " in mistake["text"] for mistake in report["mistakes"])


def test_a_tuple_of_columns_is_a_list():
    data = TextClassificationDataModule("a.csv", text_column=("premise", "hypothesis"))
    assert data.paired
    assert data.reading["text_column"] == ["premise", "hypothesis"], "an export would read single texts"


def test_a_run_of_single_texts_reads_no_pairs(cls_run, tmp_path):
    (tmp_path / "a.csv").write_text("first,second\na,b\n")
    predict = ["predict", "--run", cls_run, "--input", tmp_path / "a.csv", "--text_column", "[first, second]"]
    fails(predict, "--text_column is [first, second]", "this run reads single texts: give one column")
    with pytest.raises(UserError, match=r"needs a list of texts, not tuple: give \[text\]"):
        load_predictor(cls_run / "export")([("a", "b")])


@pytest.mark.parametrize("problem", ["labels", "number"])
def test_pairs_have_labels_or_a_number_too(problem, tiny_cls, tmp_path):
    rows = [(*text.split(PAIR), label) for text, label in demo_pairs(120)]
    value = {"labels": lambda label: [label, "any"], "number": lambda label: len(label) + 0.5}[problem]
    with (tmp_path / "pairs.jsonl").open("w") as file:
        file.writelines(json.dumps({"a": a, "b": b, "label": value(label)}) + "\n" for a, b, label in rows)
    parts = ("checkpoint", "early_stopping")
    options = [f"--{part}.{option}" for part in parts for option in ("monitor=val/loss", "mode=min")]
    data = ["--data.path", tmp_path / "pairs.jsonl", "--data.text_column", "[a, b]", "--runs_dir", tmp_path]
    run = invoke("fit", *tiny_cls, *data, *options).run
    (found,) = load_predictor(run / "export")([rows[0][:2]])
    classify = pipeline("text-classification", str(run / "export"), top_k=None, function_to_apply=None)
    theirs = classify({"text": rows[0][0], "text_pair": rows[0][1]})
    if problem == "number":
        assert found["value"] == pytest.approx(theirs[0]["score"], abs=1e-4)
    else:
        assert found["probabilities"] == pytest.approx({e["label"]: e["score"] for e in theirs}, abs=1e-5)


@pytest.mark.parametrize("columns", ["[0, 1]", "[yes, no]", "[#1 String, #2 String]"])
def test_names_that_yaml_does_not_read_as_names(columns, tiny_cls, pairs, tmp_path):
    data = ["--data.path", pairs, "--data.text_column", columns, "--runs_dir", tmp_path]
    fails(["fit", *tiny_cls, *data], "--data.text_column", """in a list quote each name: '["a", "b"]'""")
