"""What a checkpoint remembers of its data; the whole way, from a run to its test on data that changed, comes last."""

import csv
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.settings import SPLITS
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.trained_on import changes, check_record, own_cache
from lightning_nlp.errors import UserError
from lightning_nlp.models.classification import SequenceClassifier
from tests.conftest import files_below, invoke, write_sentences

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


def write_chance(path, number=300):
    """Texts whose labels are pure chance."""
    rng = random.Random(1)
    rows = [(f"{rng.choice(['the', 'a'])} film of {rng.random()} and {i}", rng.choice("ab")) for i in range(number)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def chance(tmp_path_factory, tiny_cls, pretrained):
    """The arguments and the directory of a run on chance.csv, whose tokenizer does not come from the data."""
    folder = tmp_path_factory.mktemp("chance")
    more = ["--data.path", write_chance(folder / "chance.csv"), "--data.cache_dir", folder / "cache"]
    more += ["--model.pretrained", pretrained, "--model.lr", "0.02", "--trainer.max_epochs", "8", "--runs_dir", folder]
    arguments = [*map(str, (*tiny_cls, *more, "--early_stopping.patience", "20"))]
    return arguments, invoke("fit", *arguments).run


@pytest.fixture
def changed(chance, tmp_path):
    """Where a copy of the run is, and its file may change."""
    arguments, run = chance
    shutil.copytree(run.parent.parent, tmp_path / "w")
    moved = [argument.replace(str(run.parent.parent), str(tmp_path / "w")) for argument in arguments]
    copy = tmp_path / "w" / run.parent.name / run.name
    config = (copy / "config.yaml").read_text(encoding="utf-8")
    (copy / "config.yaml").write_text(config.replace(str(run.parent.parent), str(tmp_path / "w")), encoding="utf-8")
    for path in (copy / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["lightning_nlp"]["data"]["settings"]["path"] = str(tmp_path / "w" / "chance.csv")
        torch.save(checkpoint, path)
    return moved, copy, tmp_path / "w"


def trained_and_tested(run, cache):
    """The hashes of the texts that a run was trained on at first, and is tested on now."""
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    facts = json.loads((run / "data.json").read_text(encoding="utf-8"))
    test = TokenRows(cache / facts["fingerprint"] / "test.arrow").texts()
    return checkpoint["lightning_nlp"]["data"]["texts"]["train"]["hash"].tolist(), test["hash"].tolist()


def accuracy(outcome):
    return float(next(line for line in outcome.out.splitlines() if "test/accuracy" in line).split()[-2])


def test_on_grown_data_the_run_goes_on_and_is_measured_on_what_it_never_saw(changed):
    arguments, run, folder = changed
    first = invoke("test", "--run", run)
    write_chance(folder / "chance.csv", 340)
    again = invoke("test", "--run", run)
    line = "chance.csv has changed since this run began: the run's own texts are used"
    assert line in again.err
    assert line not in first.err
    assert accuracy(again) == accuracy(first)
    resumed = invoke("fit", *arguments, "--ckpt_path", "last", "--trainer.max_epochs", "9")
    assert resumed.run == run, resumed.err
    assert line in resumed.err
    train, test = trained_and_tested(run, folder / "cache")
    assert len(train) > 200
    assert not set(train) & set(test)
    assert 0.3 < accuracy(resumed) < 0.7, "nobody can know better"


def test_without_the_cache_a_resume_is_refused_and_the_old_test_texts_and_new_ones_are_measured(changed):
    arguments, run, folder = changed
    write_chance(folder / "chance.csv", 340)
    before = {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()}
    outcome = invoke("fit", *arguments, "--ckpt_path", "last", "--data.cache_dir", folder / "other")
    assert outcome.code == 2, outcome.err
    what = "chance.csv is not what the checkpoint was trained on (40 texts added)"
    assert outcome.err.splitlines()[-1].startswith(f"error: {what}, and a training")
    assert {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()} == before
    outcome = invoke("test", "--run", run, "--data.cache_dir", folder / "other")
    assert outcome.code == 0, outcome.err
    assert f"{what}; it was not trained on" in outcome.err
    assert 0.3 < accuracy(outcome) < 0.7
    (cache,) = (path for path in (folder / "other").iterdir() if path.is_dir())
    train, earlier = trained_and_tested(run, folder / "cache")
    test = TokenRows(cache / "test.arrow").texts()["hash"].tolist()
    assert set(earlier) < set(test)
    assert not set(train) & set(test)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning", "ignore:.*many workers")
def test_a_trainer_of_ones_own_is_told_too(changed):
    _, run, folder = changed
    write_chance(folder / "chance.csv", 340)

    def test(**more):
        settings = {"cache_dir": str(folder / "other"), "tokenizer": str(run / "export"), "max_length": 32, **more}
        data = TextClassificationDataModule(str(folder / "chance.csv"), **settings)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        model = SequenceClassifier(pretrained=str(run / "export"))
        best = run / "checkpoints" / "best.ckpt"
        return trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)

    assert 0.3 < test()[0]["test/accuracy"] < 0.7
    with pytest.raises(UserError, match=r"--data\.split_seed was 42 and is 1.* test texts were used in its training"):
        test(split_seed=1)


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
        return found.record()

    labels = 20 * [label, ["a"] if named and len(label) > 1 else ["b"] if named else 1.5]
    then = data(labels, problem)
    assert changes(then, data(labels, problem)) == ""
    now = data(labels if other == "classes" else [labels[1], *labels[1:]], problem if other == "auto" else other)
    assert ("another --data.problem" if other == "classes" else "1 text with another label") in changes(then, now)
    with pytest.raises(UserError, match=r"another (label|--data.problem)"):
        check_record(then, now, "fit")
    assert "targets" not in (tmp_path / then["folder"] / "facts.json").read_text()
