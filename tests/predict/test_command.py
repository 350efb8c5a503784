import contextlib
import io
import json
import os
import re
import sys
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, DistilBertConfig

from lightning_nlp.data.tokens.encoding import encode
from lightning_nlp.data.tokens.tokenizer import train_wordpiece
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.words import driving_words
from lightning_nlp.models.encoder import from_config
from lightning_nlp.predict import command, inputs
from lightning_nlp.predict.calibration import layer_digest
from lightning_nlp.predict.command import predict
from tests.conftest import invoke
from tests.data.tokens.test_preparation import WORDS, roberta_like

LABELS = ("bad", "neutral", "very good")
# Of all lengths, so that the order by length is not the order of the texts.
TEXTS = [" ".join(WORDS[(i + j) % len(WORDS)] for j in range(i * 7 % 12 + 1)) for i in range(23)]
MASKED = ["la [MASK] diris", "[MASK] estas bona tago kaj poste ŝi [MASK] hejmen", "bona [MASK]", "ĝi estas [MASK] ."]


def wordpiece():
    return train_wordpiece([" ".join(WORDS)] * 3, vocab_size=200, max_length=16)


def byte_level():
    """A tokenizer of RoBERTa's kind, without a mask token."""
    tokenizer = roberta_like()
    tokenizer.mask_token, tokenizer.model_max_length = None, 16
    return tokenizer


def make_run(folder, auto_class, tokenizer, **settings):
    """A run's directory as `fit` leaves it, with random weights large enough that no two outputs are alike."""
    torch.manual_seed(3)
    sizes = {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 32, "max_position_embeddings": 16}
    config = DistilBertConfig(**sizes, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    names = {}
    if auto_class is AutoModelForSequenceClassification:
        names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    network = from_config(auto_class, config, **names)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    network.eval().save_pretrained(folder / "export")
    tokenizer.save_pretrained(folder / "export")
    config_yaml = {"data": {"class_path": "IMDBDataModule", "init_args": {"max_length": 16, **settings}}}
    (folder / "config.yaml").write_text("# python train.py fit\n" + yaml.safe_dump(config_yaml))
    return folder


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("cls"), AutoModelForSequenceClassification, wordpiece())


@pytest.fixture(scope="module")
def mlm_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("mlm"), AutoModelForMaskedLM, wordpiece())


def write_lines(path, texts):
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return str(path)


def read_records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labels(path):
    return [record["label"] for record in read_records(path)]


def predicted(run, tmp_path, texts, **settings):
    output = tmp_path / "predicted.jsonl"
    predict(str(run), write_lines(tmp_path / "input.txt", texts), str(output), overwrite=True, **settings)
    return read_records(output)


@pytest.mark.parametrize(("packing", "tokens_per_batch"), [("auto", 1), ("auto", 40), (False, 40)])
def test_labels_are_those_of_the_pipeline_in_the_order_of_the_texts(tmp_path, tokens_per_batch, packing):
    classifier_run = make_run(tmp_path / "run", AutoModelForSequenceClassification, wordpiece(), packing=packing)
    records = predicted(classifier_run, tmp_path, TEXTS, tokens_per_batch=tokens_per_batch)
    pipeline = transformers.pipeline("text-classification", model=str(classifier_run / "export"), device="cpu")
    assert [record["index"] for record in records] == list(range(len(TEXTS)))
    for record, text in zip(records, TEXTS, strict=True):
        expected = {item["label"]: item["score"] for item in pipeline(text, top_k=None)}
        assert record["probabilities"] == pytest.approx(expected, abs=1e-5)
        assert list(record["probabilities"]) == list(LABELS)
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert record["label"] == max(expected, key=expected.get)
    assert len({record["label"] for record in records}) > 1


def test_a_file_larger_than_a_window_is_never_read_whole(classifier_run, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "WINDOW", 5)
    events, load = [], command.make_predictor

    def long_file(path, encoding):
        for i in range(12):
            events.append("read")
            yield i + 1, TEXTS[i] + "\n"

    def load_noting(*args, **kwargs):
        predictor = load(*args, **kwargs)
        return lambda texts: events.append("predict") or predictor(texts)

    monkeypatch.setattr(inputs, "read_lines", long_file)
    monkeypatch.setattr(command, "make_predictor", load_noting)
    assert len(predicted(classifier_run, tmp_path, ["replaced by the long file"])) == 12
    assert events == [*["read"] * 5, "predict", *["read"] * 5, "predict", *["read"] * 2, "predict"]


def test_a_run_remembers_how_its_tables_were_written(classifier_run, tmp_path):
    written = {"text_column": "body", "encoding": "utf-16", "delimiter": ";", "quoting": False}
    run = make_run(tmp_path / "run", AutoModelForSequenceClassification, wordpiece(), **written)
    predicted(classifier_run, tmp_path, [f'"{text}' for text in TEXTS[:4]])
    (tmp_path / "a.csv").write_bytes(("id;body\n" + "".join(f'5€;"{text}\n' for text in TEXTS[:4])).encode("utf-16"))
    predict(str(run), str(tmp_path / "a.csv"), str(tmp_path / "a.out"))
    (tmp_path / "b.csv").write_text("id,text\n" + "".join(f'5€,"""{text}"\n' for text in TEXTS[:4]), encoding="utf-8")
    given = {"text_column": "text", "encoding": "utf-8", "delimiter": ",", "quoting": True}
    predict(str(run), str(tmp_path / "b.csv"), str(tmp_path / "b.out"), **given)
    assert labels(tmp_path / "a.out") == labels(tmp_path / "b.out") == labels(tmp_path / "predicted.jsonl")
    for settings, cure in (
        ({"encoding": "utf-8"}, "give --delimiter ','"),
        ({}, "not utf-16: give --encoding utf-8"),
        (given | {"text_column": "body"}, "'body'.*id, text.*give --text_column"),
    ):
        with pytest.raises(UserError, match=cure):
            predict(str(run), str(tmp_path / "b.csv"), str(tmp_path / "c.out"), **{"text_column": "text"} | settings)


class Stdin(io.TextIOWrapper):
    """Standard input under a locale that is not UTF-8."""

    def __init__(self, content):
        super().__init__(io.BytesIO(content), encoding="latin1")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_an_output_a_terminal_gets_a_table_and_a_pipe_gets_lines(classifier_run, tmp_path, monkeypatch, capsys):
    expected = predicted(classifier_run, tmp_path, [*TEXTS[:3], ""])
    source = write_lines(tmp_path / "input.txt", [*TEXTS[:3], ""])
    predict(str(classifier_run), source)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(command, "WINDOW", 2)
    with contextlib.redirect_stdout(Terminal()) as terminal:
        predict(str(classifier_run), source)
    shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())
    assert shown.count("probability") == 1
    for record, text in zip(expected[:3], TEXTS, strict=False):
        chance = f"{record['probabilities'][record['label']]:.3f}"
        assert re.search(rf"(?m)^ +{record['index']} +{text[:40]}.* {record['label']} +{chance} *$", shown)
    assert "the text has no words" in shown
    assert "4 texts: " in shown
    with contextlib.redirect_stdout(Terminal()) as terminal:  # who asks for lines gets them there too
        predict(str(classifier_run), source, "-")
    assert len([json.loads(line) for line in terminal.getvalue().splitlines()]) == 4


@pytest.mark.parametrize("packing", ["auto", False])
def test_the_words_that_drove_a_prediction(tmp_path, packing):
    run = make_run(tmp_path / "run", AutoModelForSequenceClassification, wordpiece(), packing=packing)
    plain = predicted(run, tmp_path, [*TEXTS[:6], ""])
    explained = predicted(run, tmp_path, [*TEXTS[:6], ""], explain=True, tokens_per_batch=30)
    network, tokenizer = AutoModelForSequenceClassification.from_pretrained(run / "export"), wordpiece()
    for record, expected, text in zip(explained[:6], plain, TEXTS, strict=False):
        assert record["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        ids = encode([text], tokenizer, max_length=16, truncation="head")[0][0]
        words = driving_words(network, tokenizer, ids, LABELS.index(expected["label"]))
        assert [word for word, _ in record["words"]] == text.split()
        assert [score for _, score in record["words"]] == pytest.approx([score for _, score in words], abs=1e-3)
        assert max(abs(score) for _, score in words) == 1
    assert explained[6] == {"index": 6, "label": None, "reason": "the text has no words"}


def test_the_labels_that_reach_the_stored_thresholds(tmp_path, caplog):
    run = make_run(tmp_path / "run", AutoModelForSequenceClassification, wordpiece())
    path = run / "export" / "config.json"
    config = json.loads(path.read_text())
    limits = {"bad": {"wanted": {"threshold": 0.0}}, "neutral": {"wanted": {"threshold": 0.5}}, "very good": {}}
    weight = load_file(run / "export" / "model.safetensors")["classifier.weight"]
    for known in ({}, {"fitted_for_last_layer": layer_digest(SimpleNamespace(weight=weight))}):
        path.write_text(json.dumps(config | {"thresholds": limits} | known))
        records = predicted(run, tmp_path, TEXTS, thresholds="wanted")
        for record in records:
            assert record["reached"] == ["bad", "neutral"][: 1 + (record["probabilities"]["neutral"] >= 0.5)]
        assert {len(record["reached"]) for record in records} == {1, 2}
    path.write_text(json.dumps(config | {"thresholds": limits, "fitted_for_last_layer": "of other weights"}))
    assert "reached" not in predicted(run, tmp_path, TEXTS, thresholds="wanted")[0]
    assert "was trained further since its thresholds were chosen" in caplog.text
    for other in ({}, {"thresholds": {"bad": {"wanted": "high"}}}):  # a stranger's
        path.write_text(json.dumps(config | other))
        with pytest.raises(UserError, match=r"no thresholds for --thresholds wanted: its model card explains why"):
            predicted(run, tmp_path, TEXTS[:2], thresholds="wanted")


def test_stdin_is_utf8_and_a_byte_order_mark_and_windows_line_ends_are_no_text(
    classifier_run, tmp_path, monkeypatch, capsys
):
    expected = predicted(classifier_run, tmp_path, TEXTS[:2])
    content = b"\xef\xbb\xbf" + "\r\n".join(TEXTS[:2]).encode()
    (tmp_path / "windows.txt").write_bytes(content)
    predict(str(classifier_run), str(tmp_path / "windows.txt"), str(tmp_path / "out.jsonl"))
    assert read_records(tmp_path / "out.jsonl") == expected
    monkeypatch.setattr(sys, "stdin", Stdin(content))
    predict(str(classifier_run), "-", "-")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected
    monkeypatch.setattr(sys, "stdin", Stdin(b"bona tago\n\xe9\n"))
    with pytest.raises(UserError, match=r"stdin is not UTF-8 \(byte 0xe9\).*--encoding"):
        predict(str(classifier_run), "-", str(tmp_path / "other.jsonl"))
    assert not (tmp_path / "other.jsonl").exists()


def test_a_reader_of_stdout_may_leave_early(classifier_run, tmp_path, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        predict(str(classifier_run), write_lines(tmp_path / "input.txt", TEXTS), "-")
        stdout.write("as Python does when it exits")  # and flushes, without an error
        assert os.path.samestat(os.fstat(stdout.fileno()), os.stat(os.devnull))


def test_blank_lines_keep_their_place(classifier_run, tmp_path):
    records = predicted(classifier_run, tmp_path, ["", TEXTS[0], "   ", TEXTS[1], "<br />"])
    for i in (0, 2, 4):
        assert records[i] == {"index": i, "label": None, "reason": "the text has no words"}
    assert [records[i]["label"] in LABELS for i in (1, 3)] == [True, True]
    assert predicted(classifier_run, tmp_path, []) == []


@pytest.mark.parametrize("clean", [True, False])
def test_texts_are_cleaned_as_those_of_the_training(tmp_path, clean):
    run = make_run(tmp_path / "run", AutoModelForSequenceClassification, wordpiece(), clean=clean)
    raw, cleaned = predicted(run, tmp_path, ["bona<br /><br />tago\x07 kaj   poste", "bona tago kaj poste"])
    assert (raw["probabilities"] == pytest.approx(cleaned["probabilities"], abs=1e-6)) is clean
    (tmp_path / "a.jsonl").write_text('{"text": "half of a surrogate pair \\ud83d is no reason to stop"}\n')
    predict(str(run), str(tmp_path / "a.jsonl"), str(tmp_path / "out.jsonl"))
    assert read_records(tmp_path / "out.jsonl")[0]["label"] in LABELS


@pytest.mark.parametrize("truncation", ["head", "head_tail"])
def test_long_texts_are_cut_as_in_the_training(tmp_path, truncation):
    run = make_run(tmp_path / "run", AutoModelForSequenceClassification, wordpiece(), truncation=truncation)
    text = " ".join(WORDS * 3)
    (record,) = predicted(run, tmp_path, [text])
    ids, _, _ = encode([text], wordpiece(), max_length=16, truncation=truncation)
    network = AutoModelForSequenceClassification.from_pretrained(run / "export")
    with torch.inference_mode():
        expected = network(torch.tensor(ids)).logits[0].softmax(-1).tolist()
    assert list(record["probabilities"].values()) == pytest.approx(expected, abs=1e-5)


def same_fillings(record, pipeline, text, top_k):
    expected = pipeline(text, top_k=top_k + 1)  # one more, to see whether the last place was a close race
    expected = expected if isinstance(expected[0], list) else [expected]
    assert len(record["fillings"]) == len(expected) == text.count(pipeline.tokenizer.mask_token)
    for ours, theirs in zip(record["fillings"], expected, strict=True):
        assert len(ours) == top_k
        scores = [item["score"] for item in theirs]
        assert [filling["probability"] for filling in ours] == pytest.approx(scores[:top_k], abs=1e-5)
        # A network without training has near ties, whose order is a matter of the last bit.
        gaps = [1.0, *(a - b for a, b in pairwise(scores))]
        clear = [rank for rank in range(top_k) if min(gaps[rank], gaps[rank + 1]) > 1e-7]
        assert [ours[rank]["token"] for rank in clear] == [theirs[rank]["token_str"] for rank in clear]
        assert len(clear) > 0.5 * top_k


@pytest.mark.parametrize(("packing", "top_k", "tokens_per_batch"), [("auto", 1, 4096), ("auto", 7, 25), (False, 7, 25)])
def test_masks_are_filled_as_the_pipeline_does(tmp_path, top_k, tokens_per_batch, packing):
    mlm_run = make_run(tmp_path / "run", AutoModelForMaskedLM, wordpiece(), packing=packing)
    *records, blank = predicted(mlm_run, tmp_path, [*MASKED, ""], top_k=top_k, tokens_per_batch=tokens_per_batch)
    assert blank == {"index": 4, "label": None, "reason": "the text has no words"}
    pipeline = transformers.pipeline("fill-mask", model=str(mlm_run / "export"), device="cpu")
    for record, text in zip(records, MASKED, strict=True):
        same_fillings(record, pipeline, text, top_k)


def test_fillings_of_a_byte_level_vocabulary_are_readable(tmp_path):
    tokenizer = byte_level()
    tokenizer.mask_token = "<mask>"
    run = make_run(tmp_path / "run", AutoModelForMaskedLM, tokenizer)
    (record,) = predicted(run, tmp_path, ["la<mask> diris"], top_k=280)
    same_fillings(record, transformers.pipeline("fill-mask", model=str(run / "export")), "la<mask> diris", 280)
    assert " la" in [filling["token"] for filling in record["fillings"][0]]


def test_an_input_broken_in_the_middle_leaves_the_earlier_output(classifier_run, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "WINDOW", 4)
    lines = [json.dumps({"text": text}) for text in TEXTS]
    lines[9] = '{"text": '
    (tmp_path / "out.jsonl").write_text("precious")
    with pytest.raises(UserError, match=r"broken\.jsonl, line 10"):
        predict(
            str(classifier_run), write_lines(tmp_path / "broken.jsonl", lines), f"{tmp_path}/out.jsonl", overwrite=True
        )
    assert {path.name: path.read_text() for path in tmp_path.glob("out*")} == {"out.jsonl": "precious"}


@pytest.mark.parametrize(
    ("text", "settings", "found"),
    [
        ("bona tago", {}, r"index 2, 'bona tago', has no \[MASK\]: write \[MASK\]"),
        ("[MASK] " + "la " * 20 + "[MASK]", {}, r"index 2, .* is cut off before its last \[MASK\], after 16 tokens"),
        ("[MASK]", {"explain": True}, "--explain is for text classifiers"),
        ("[MASK]", {"thresholds": "wanted"}, "--thresholds are for classes, .* is for masked language model"),
    ],
)
def test_what_cannot_be_filled(mlm_run, tmp_path, text, settings, found):
    with pytest.raises(UserError, match=found):
        predicted(mlm_run, tmp_path, [*MASKED[:2], text, MASKED[3]], **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["input.txt"]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (None, "its training did not end; continue with the same command and --ckpt_path last"),
        ({"state": "interrupted"}, "its training did not end"),
        ({"state": "failed", "test": {"test/accuracy": 0.5}}, "trained and tested, but the export failed"),
    ],
)
def test_a_run_without_an_export(tmp_path, facts, why):
    (tmp_path / "config.yaml").write_text("data: {init_args: {}}\n")
    if facts:
        (tmp_path / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=f"has no export.*{why}"):
        predict(str(tmp_path), write_lines(tmp_path / "input.txt", TEXTS[:2]))


@pytest.mark.parametrize(
    ("machine", "trained", "asked", "expected"),
    [
        ("bf16-mixed", "bf16-mixed", None, "bf16-mixed"),
        ("32-true", "bf16-mixed", None, "32-true"),
        ("bf16-mixed", None, None, "32-true"),
        ("32-true", "32-true", "bf16-mixed", "bf16-mixed"),
        ("bf16-mixed", "bf16-mixed", "32-true", "32-true"),
    ],
)
def test_the_precision_is_that_of_the_training_where_the_machine_has_it(machine, trained, asked, expected, monkeypatch):
    monkeypatch.setattr(command, "default_precision", lambda: machine)
    assert command.prediction_precision(asked, trained) == expected


def test_bf16_gives_about_the_same_probabilities(classifier_run, tmp_path):
    exact, rounded = (
        [record["probabilities"][LABELS[0]] for record in predicted(classifier_run, tmp_path, TEXTS, precision=how)]
        for how in ("32-true", "bf16-mixed")
    )
    assert rounded != exact == pytest.approx(rounded, abs=0.1)


def test_a_pipe_is_read_as_a_file(classifier_run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a good film\na bad one\n",))
    writer.start()
    outcome = invoke("predict", "--run", classifier_run, "--input", tmp_path / "pipe", "--output", "-")
    writer.join()
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 2
