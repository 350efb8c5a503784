import ast
import json
import math
import re
from types import SimpleNamespace

import torch
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from lightning_nlp.evaluation.figures import Figure
from lightning_nlp.export.model_card import model_card
from lightning_nlp.predict.calibration import Calibration
from lightning_nlp.tasks import TASKS
from tests.conftest import FACTS

POINT = {"threshold": 0.4, "precision": 0.9, "recall": 0.8, "f1": 0.85}
RECORD = {
    "metrics": {"loss": 0.375, "accuracy": 0.9125, "precision": 0.9, "recall": 0.8, "f1": 0.84, "ece": 0.06},
    "by_class": [
        {"label": "a|b", "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 1200}
        | {"average_precision": 0.95, "auc": 0.97},
        {"label": "<c>", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
        | {"average_precision": None, "auc": None},
    ],
}
FOUND = Calibration(
    temperature=1.5,
    step=7,
    examples=900,
    validation={"temperature": 1.5, "loss_before": 0.4, "loss_after": 0.3, "ece_before": 0.1, "ece_after": 0.02},
    test={"temperature": 1.5, "loss_before": 0.375, "loss_after": 0.35, "ece_before": 0.06, "ece_after": 0.03},
    thresholds={
        "a|b": {
            "best_f1": POINT,
            "wanted": {"threshold": 0.7, "precision": 0.95, "recall": 0.5},
            "test": {"best_f1": POINT | {"precision": 0.88}, "wanted": {"precision": 0.93, "recall": 0.4, "f1": 0.56}},
        },
        "<c>": {"best_f1": None, "wanted": None},
    },
)


READING = {"max_length": 128, "clean": True, "truncation": "head_tail"}


def card(task="classification", source="reviews.csv", facts=None, reading=READING, **settings):
    network = SimpleNamespace(
        parameters=lambda: [torch.zeros(10)],
        config=SimpleNamespace(architectures=["DistilBertForSequenceClassification"], hidden_size=16),
    )
    data = {"source": source, "label_names": None if task == "mlm" else ["a|b", "<c>"]}
    sizes = {"texts": 1000, "tokens": 20000}
    data |= {"cleaning": ["train: 1000 rows read"], "train": sizes, "validation": sizes, "test": sizes}
    return model_card(network, data, TASKS[task], FACTS | (facts or {}), name="my run", reading=reading, **settings)


def results_of(text):
    """The card's results as the Hub's own classes read them."""
    data = ModelCard(text).data
    index = data.to_dict()["model-index"]
    name, results = model_index_to_eval_results(index)
    assert eval_results_to_model_index(name, results) == index
    assert name == "my run"
    return data, {result.metric_type: result for result in results}


def test_the_hub_finds_the_results():
    data, results = results_of(card(record=RECORD, calibrated=FOUND))
    assert (data.library_name, data.pipeline_tag, data.tags) == (
        "transformers",
        "text-classification",
        ["lightning_nlp"],
    )
    assert data.metrics == ["accuracy", "f1", "precision", "recall"]
    exported = {"loss": 0.35, "ece": 0.03}  # calibrated
    assert {name: result.metric_value for name, result in results.items()} == RECORD["metrics"] | exported
    accuracy = results["accuracy"]
    assert (accuracy.task_type, accuracy.task_name) == ("text-classification", "Text Classification")
    assert {accuracy.dataset_type, accuracy.dataset_name} == {"reviews.csv"}
    assert accuracy.dataset_split == "test"
    assert results["f1"].metric_args == {"average": "macro"}
    assert results["ece"].metric_name == "Expected calibration error"
    assert (data.base_model, data.datasets) == (None, None)


def test_what_comes_from_the_hub_is_linked():
    data, results = results_of(card(source="org/reviews", base_model="distilbert/distilbert-base-uncased"))
    assert data.datasets == ["org/reviews"]
    assert data.base_model == "distilbert/distilbert-base-uncased"
    assert results["accuracy"].dataset_type == "org/reviews"


def test_tables_for_people():
    text = card(record=RECORD, calibrated=FOUND, figures=[Figure("roc", "ROC", "a|b 0.9700.", "x", "y")])
    for part in (
        "Trained with lightning_nlp on reviews.csv. Labels: a\\|b, &lt;c&gt;.\n\n|",
        "| val/loss | 0.2500 |\n| test/loss | 0.3750 |\n| test/accuracy | 0.9125 |\n",
        *("| train | 1,000 | 20,000 |", "- train: 1000 rows read", f"torch {torch.__version__}"),
        "2 epochs, 1,234 steps in 1 min 01 s on CPU, 2 threads in 32-true, 12,346 tokens/s.",
        "| &lt;c&gt; | 0.0000 | 0.0000 | 0.0000 | – | – | 0 |",
        "### ROC\n\n![ROC](roc.svg)\n\na\\|b 0.9700.\n",
        "T = 1.5000, fitted on 900 validation examples",
        "| validation, after | 0.3000 | 0.0200 |\n| test, before | 0.3750 | 0.0600 |\n",
        "| a\\|b | precision 0.95 | 0.7000 | 0.9300 | 0.4000 | 0.5600 |\n",
    ):
        assert part in text
    assert "\n\n\n" not in text
    assert not re.search(r"\S  |[ \t]\n", text)


def test_a_masked_language_model():
    probe = {"text": "La [MASK] estas *bela*.", "fillings": [[{"token": "urbo|", "probability": 0.25}]]}
    record = {"metrics": {"loss": 2.5, "perplexity": math.inf, "top1": 0.4}, "probes": [probe]}
    short = {"epochs": 1, "steps": 1, "tokens_per_s": None, "validation": {}}
    text = card(task="mlm", record=record, facts={"test": {"test/loss": 2.5, "test/perplexity": math.inf}} | short)
    assert "1 epoch, 1 step in 1 min 01 s on CPU, 2 threads in 32-true.\n" in text
    assert "\n\n\n" not in text
    data, results = results_of(text)
    assert data.pipeline_tag == "fill-mask"
    assert {name: result.metric_value for name, result in results.items()} == {"loss": 2.5, "top1": 0.4}
    assert "| La \\[MASK\\] estas \\*bela\\*. | urbo\\| 0.250 |" in text
    assert "Labels" not in text


def test_no_text_of_the_data_stands_in_the_card():
    mistakes = [{"row": 1, "text": "my secret text", "words": [["secret", 1.0]]}]
    assert "secret" not in card(record=RECORD | {"mistakes": mistakes}, calibrated=FOUND)


def test_names_that_yaml_would_misread():
    text = card(source="no: {yes}\n# x")
    accuracy = results_of(text)[1]["accuracy"]
    assert (accuracy.dataset_name, accuracy.dataset_type) == ("no: {yes}\n# x", "no-yes-x")
    assert json.loads(re.search("Sizes: `(.*)`", text)[1]) == {"hidden_size": 16}


def test_columns_of_pairs_stand_in_code_as_they_are():
    columns = ["text_a", 'b "\n```</br>*']
    code = re.findall(r"```python\n(.*?)```", card(reading=READING | {"text_column": columns}), re.DOTALL)
    single, tuples = (ast.literal_eval(re.search(r"print\(model\((.*)\)\)", part)[1]) for part in code)
    assert single == {"text": "A text_a.", "text_pair": 'A b "\n</br>*.'}
    assert tuples == [(single["text"], single["text_pair"])]
