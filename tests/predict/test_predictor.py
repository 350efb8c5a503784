import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_nlp import load_predictor
from lightning_nlp.data.batches.collators import collate, packed_batch
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import proof
from lightning_nlp.models import packing
from lightning_nlp.predict.predictor import limits_of, owners
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.precision import float32_products
from tests.conftest import invoke


def test_owners():
    sequences = [torch.arange(n).numpy() for n in (7, 4, 4, 1)]
    assert owners(packed_batch(sequences), torch.tensor([0, 6, 7, 11, 14, 15])) == [0, 0, 1, 2, 2, 3]
    assert owners(collate(sequences, packed=False), torch.tensor([0, 6, 8, 16, 31])) == [0, 0, 1, 2, 3]


TEXTS = ["good<br />film", "", "  ", "bad film with a plot " * 40 + "good", "a &amp; b\u00a0film"]


def test_an_export_answers_as_predict_does_wherever_it_lies(tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--data.truncation", "head_tail", "--runs_dir", tmp_path).run
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    outcome = invoke("predict", "--run", run, "--input", tmp_path / "texts.jsonl", "--output", "-")
    expected = [json.loads(line) for line in outcome.out.splitlines()]
    moved = (run / "export").rename(tmp_path / "elsewhere")
    predict = load_predictor(moved)
    assert predict(iter(TEXTS)) == expected
    assert [record["label"] is None for record in expected] == [False, True, True, False, False]
    for wrong in ("one text", [None], None, {"text": "one"}, np.array([["one"]])):  # a string is a list of letters
        with pytest.raises(UserError, match=r"needs a list of texts, not \w+: give \[text\]"):
            predict(wrong)
    with pytest.raises(UserError, match="must be bf16-mixed or 32-true, not bf16"):
        load_predictor(moved, precision="bf16")


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
    with pytest.raises(
        UserError, match=r"nowhere does not record how to read texts.*No such file.*: give the folder of"
    ):
        load_predictor(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "export").mkdir()
    with pytest.raises(UserError, match=f": give {re.escape(str(tmp_path / 'export'))}"):
        load_predictor(tmp_path)


@pytest.mark.parametrize(
    ("task", "which", "expected"),
    [
        ("classification", None, None),
        ("classification", "wanted", {"a": 0.75}),
        ("labels", None, {"a": 0.25, "b": 0.5}),  # the best F1 where there is one
        ("labels", "wanted", {"a": 0.75}),  # b never reached the precision, and is not given
    ],
)
def test_the_probabilities_that_labels_must_reach(task, which, expected):
    thresholds = {"a": {"best_f1": {"threshold": 0.25}, "wanted": {"threshold": 0.75}}, "b": {}}
    network = SimpleNamespace(config=SimpleNamespace(model_type="xlnet", thresholds=thresholds))
    assert limits_of(network, TASKS[task], ["a", "b"], which) == expected
