"""What a checkpoint remembers of its data; the whole way, from a run to its test on data that changed, comes last."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.settings import SPLITS
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.trained_on import changes, check_record, own_cache
from lightning_nlp.errors import UserError
from tests.bad_input.check import check
from tests.conftest import checkpoint_of, files_below, invoke, write_reviews, write_sentences

SETTINGS = {"path": "a.csv", "val_fraction": 0.1, "split_seed": 42}
TRAIN, VALIDATION, TEST = {1: 0, 2: 1, 3: 0, 4: 1}, {5: 0, 6: 1}, {7: 0, 8: 1}  # hash of a text: its label


def record(train=TRAIN, validation=VALIDATION, test=TEST, names=("neg", "pos"), folder="0" * 20, **settings):
    texts = {
        split: {"hash": torch.tensor([*part]), "label": torch.tensor([*part.values()])}
        for split, part in (("train", train), ("validation", validation), ("test", test))
    }
    settings = SETTINGS | settings
    known = {"folder": folder, "settings": settings, "source": "a.csv", "label_names": [*names], "streamed": None}
    return known | {"texts": texts}


OTHER = {"folder": "1" * 20}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"train": {**TRAIN, 9: 0, 10: 1}}, "2 texts added"),
        ({"train": {1: 0, 2: 1, 3: 0}}, "1 text removed"),
        ({"train": {**TRAIN, 9: 0}, "test": {7: 0}}, "1 text added, 1 text removed"),
        ({"train": {2: 1, 1: 0, 3: 0, 4: 1}}, "texts in another order"),
        ({"names": ("negative", "pos")}, "the labels were 'neg', 'pos' and are 'negative', 'pos'"),
        ({"train": {1: 1, 2: 1, 3: 0, 4: 1}}, "1 text with another label"),
        ({"train": {1: 1, 2: 1, 3: 1, 4: 1}}, "2 texts with another label"),
        (
            {"split_seed": 7, "path": "b.csv"},
            "--data.path was 'a.csv' and is 'b.csv', --data.split_seed was 42 and is 7",
        ),
        ({"new_option": True}, ""),
        ({}, ""),
    ],
)
def test_what_changed_is_said_in_one_line(now, said):
    assert changes(record(), record(**now)) == said


def refused(then, now, stage):
    with pytest.raises(UserError) as caught:
        check_record(then, now, stage)
    return str(caught.value)


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_the_data_of_the_run_are_taken_without_a_word(stage, caplog):
    check_record(record(), record(), stage)
    check_record(record(), record(**OTHER), stage)  # the same, made anew
    assert not caplog.records


MOVED = {"train": {1: 0, 2: 1, 8: 1}, "test": {7: 0, 3: 0, 4: 1}, "split_seed": 7}
CHANGED = [
    {"train": {**TRAIN, 9: 0}},
    {"train": {1: 0, 2: 1, 3: 0}},
    {"train": {2: 1, 1: 0, 3: 0, 4: 1}},
    {"train": {1: 1, 2: 1, 3: 0, 4: 1}},
]


@pytest.mark.parametrize(
    ("now", "stage", "said"),
    [
        (MOVED, "test", "--data.split_seed was 42 and is 7): 2 of the 3 test texts were used in its training"),
        (MOVED, "validate", None),
        ({"validation": {8: 1}, "test": {7: 0, 5: 0}}, "test", "1 of the 2 test texts"),  # chosen by its validation
        ({"train": {1: 0}, "validation": {5: 0, 9: 1, 8: 1}}, "validate", None),
        ({"validation": {5: 0, 9: 1, 4: 1}}, "validate", "1 of the 3 validation texts"),
        ({"test": TRAIN}, "predict", None),
        *((now, "fit", "a training resumes only with its own texts") for now in CHANGED),
        *((now, stage, None) for now in CHANGED for stage in ("validate", "test")),
        ({"test": {7: 0, 9: 1}}, "fit", None),
        ({"test": {7: 0, 4: 1}}, "fit", "1 of the 2 test"),
    ],
)
def test_nothing_is_measured_on_what_was_trained_on_nor_trained_on_with_other_texts(now, stage, said, caplog):
    if said is None:
        check_record(record(), record(**now, **OTHER), stage)
        assert stage == "predict" or "it was not trained on any" in caplog.text
    else:
        message = refused(record(), record(**now, **OTHER), stage)
        assert said in message
        assert changes(record(), record(**now)) in message


def test_a_test_text_that_stood_in_train_by_the_users_will_stays(caplog):
    then = record(test={**TEST, 4: 1})  # deduplicate false
    check_record(then, record(train={**TRAIN, 9: 0}, test={**TEST, 4: 1}, **OTHER), "test")
    assert "1 text added); it was not trained on any test text." in caplog.text


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_other_labels_are_refused(stage):
    now = record(names=("negative", "pos"), **OTHER)
    assert "the labels were 'neg', 'pos' and are 'negative', 'pos'" in refused(record(), now, stage)
    assert "has no record of the data" in refused(None, record(), stage)


@pytest.mark.parametrize(
    ("then", "now", "said"), [(["a", "b"], "a", "it reads pairs of texts"), ("a", ["a", "b"], "it reads single texts")]
)
def test_single_texts_do_not_measure_a_model_of_pairs_nor_pairs_one_of_single_texts(then, now, said):
    other = record(train={11: 0}, validation={12: 0}, test={13: 1}, text_column=now, **OTHER)
    assert said in refused(record(text_column=then), other, "test")
    check_record(record(text_column=["a", "b"]), record(text_column=["c", "d"], **OTHER), "test")


def test_of_a_stream_nobody_knows_all_that_was_trained_on():
    then = record() | {"streamed": True}
    check_record(then, record(test={7: 0}, **OTHER), "test")
    assert "1 of the 2 test texts may have been used" in refused(then, record(test={7: 0, 99: 0}, **OTHER), "test")


def test_the_cache_of_a_run_is_taken_where_the_settings_are_the_same(monkeypatch):
    monkeypatch.setenv("HOME", "/home/eva")
    then, place = record(path="~/a.csv"), Path("cache")
    assert own_cache(then, SETTINGS | {"path": "/home/eva/a.csv", "new_option": None}, place) == place / ("0" * 20)
    for changed in ({"path": "b.csv"}, {"val_fraction": 0.2}, {"split_seed": 1}):
        assert own_cache(record(), SETTINGS | changed, place) is None
    stream, streamed = {"streaming": True, "deduplicate": True}, {"streamed": True}
    assert own_cache(record() | streamed, SETTINGS | stream, place) == place / ("0" * 20)
    assert own_cache(record() | streamed, SETTINGS | stream | {"deduplicate": False}, place) is None
    assert own_cache(record() | streamed, SETTINGS, place) is None, "it holds a sample of the training texts alone"
    assert own_cache(record(), SETTINGS | stream, place) is None
    for strange in ("../../elsewhere", "/etc", None, "0" * 19 + "/"):
        assert own_cache(record(folder=strange), SETTINGS, place) is None


# --- a run, and data that changed after it


@pytest.fixture
def grown(tiny_cls, pretrained, tmp_path):
    """The arguments of a run whose file has grown since, and its directory; its tokenizer does not depend on it."""
    path = write_reviews(tmp_path / "reviews.csv")
    more = ["--data.path", path, "--data.cache_dir", tmp_path / "cache", "--data.tokenizer", pretrained]
    arguments = [*tiny_cls, *more, "--trainer.max_epochs", "1", "--runs_dir", tmp_path / "runs"]
    run = invoke("fit", *arguments).run
    write_reviews(path, 120)
    return arguments, run


def test_a_run_goes_on_with_its_own_texts_and_is_tested_on_them(grown):
    arguments, run = grown
    loss = json.loads((run / "facts.json").read_text(encoding="utf-8"))["test"]["test/loss"]
    tested = invoke("test", "--run", run)
    assert f"{loss:.4f}" in tested.out
    resumed = invoke("fit", *arguments, "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert resumed.run == run
    for outcome in (tested, resumed):
        assert "reviews.csv has changed since this run began: the run's own texts are used" in outcome.err


def test_without_the_cache_a_resume_is_refused_and_the_old_test_texts_and_new_ones_are_measured(grown, tmp_path):
    arguments, run = grown
    other = ["--data.cache_dir", tmp_path / "other"]
    before = {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()}
    what = "reviews.csv is not what the checkpoint was trained on (60 texts added)"
    check(invoke("fit", *arguments, *other, "--ckpt_path", "last"), f"{what}, and a training")
    assert {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()} == before
    assert f"{what}; it was not trained on any test text" in invoke("test", "--run", run, *other).err
    known = checkpoint_of(run, "best")["lightning_nlp"]["data"]["texts"]
    (cache,) = (path for path in (tmp_path / "other").iterdir() if path.is_dir())
    test = set(TokenRows(cache / "test.arrow").texts()["hash"].tolist())
    assert test > set(known["test"]["hash"].tolist())
    assert not test & set(known["train"]["hash"].tolist())


def test_sentences_are_remembered_too(tmp_path):
    def remembered(number):
        path = write_sentences(tmp_path / "a-sentences.txt", number)
        data = MaskedLanguageModelingDataModule(str(path), vocab_size=300, cache_dir=str(tmp_path / "cache"))
        data.setup()
        return data.record()

    whole, fewer = remembered(150), remembered(140)
    assert {split: list(part) for split, part in whole["texts"].items()} == {split: ["hash"] for split in SPLITS}
    assert len(np.unique(torch.cat([part["hash"] for part in whole["texts"].values()]))) == 150
    assert "10 texts removed" in refused(whole, fewer, "fit")


@pytest.mark.parametrize(
    ("label", "problem", "other"),
    [(["a", "b"], "labels", "auto"), (0.5, "number", "auto"), (["a"], "labels", "classes")],
)
def test_other_labels_of_the_same_texts_and_another_problem_are_noticed(label, problem, other, tmp_path):
    path, named = tmp_path / "a.jsonl", isinstance(label, list)

    def data(labels, problem):
        labels = labels if problem != "classes" else [label[0] for label in labels]
        path.write_text("\n".join(json.dumps({"text": f"text {i}", "label": x}) for i, x in enumerate(labels)))
        found = TextClassificationDataModule(str(path), problem=problem, max_length=8, cache_dir=str(tmp_path))
        found.setup()
        return found

    labels = 20 * [label, ["a"] if named and len(label) > 1 else ["b"] if named else 1.5]
    then = data(labels, problem).record()
    assert changes(then, data(labels, problem).record()) == ""
    now = data(labels if other == "classes" else [labels[1], *labels[1:]], problem if other == "auto" else other)
    assert ("another --data.problem" if other == "classes" else "1 text with another label") in changes(
        then, now.record()
    )
    now.trainer = SimpleNamespace(state=SimpleNamespace(fn=SimpleNamespace(value="fit")))  # a user's own
    with pytest.raises(UserError, match=r"another (label|--data.problem)"):
        now.go_on_from(then)
    assert "targets" not in (tmp_path / then["folder"] / "facts.json").read_text()
