import json

from lightning_nlp.tracking.charts import charts, figures, probe_table
from tests.conftest import cls_record, mlm_record


def test_a_classifiers_charts_hold_the_records_numbers():
    made = charts(cls_record(7, "test"))
    assert set(made) == {
        f"test/{name}" for name in ("confusion_matrix", "precision_recall", "roc", "reliability", "accuracy_by_length")
    } | {"test/mistakes"}
    assert made["test/confusion_matrix"].table.data == [
        ["neg", "neg", 3],
        ["neg", "pos", 1],
        ["pos", "neg", 1],
        ["pos", "pos", 3],
    ]
    assert made["test/precision_recall"].table.data[:3] == [[0.0, 1.0, "neg"], [0.5, 0.5, "neg"], [1.0, 0.0, "neg"]]
    ends = [[0.0, 0.0, "perfect"], [1.0, 1.0, "perfect"]]
    assert made["test/reliability"].table.data == [[0.65, 0.75, "network"], *ends]
    assert made["test/accuracy_by_length"].table.data == [["5–9", 0.75]]
    assert made["test/mistakes"].data == [["the film", "pos", "neg", 0.99, 7, "dull -1.00, the +0.10"]]
    assert "val/mistakes" not in charts(cls_record(7))


def test_of_many_classes_those_with_mistakes_are_shown():
    record = cls_record(7)
    counts = [[5 if i == j else 0 for j in range(60)] for i in range(60)]
    counts[59][3] = 2
    record |= {"labels": [str(i) for i in range(60)], "confusion": counts}
    rows = charts(record)["val/confusion_matrix"].table.data
    assert len(rows) == 50**2
    assert ["59", "3", 2] in rows


def test_a_masked_language_models_charts_and_figures():
    record = mlm_record(7)
    made = charts(record)
    assert made["val/top1_by_frequency"].table.data == [["1–9", 0.25], ["10–99", 0.25]]
    assert made["val/top1_by_piece"].table.data == [["word", 0.25], ["subword", 0.25]]
    values = figures(record)
    assert values["val/top1/word"] == 0.25
    assert values["val/loss/10-99"] == 3.0
    assert "val/loss" not in values  # the module logs it
    unseen = figures(record | {"by_frequency": [{"low": 0, "high": 0, "top1": 0.125, "loss": 9.0}]})
    assert unseen["val/top1/0"] == 0.125
    values = figures(cls_record(7) | {"calibration": {"temperature": 2.0, "ece_after": 0.01}})
    assert (values["val/ece"], values["val/calibration/ece_after"]) == (0.0625, 0.01)
    assert values["val/f1/pos"] == 0.75


def test_the_table_of_probes_is_of_the_validations_until_now(tmp_path):
    (tmp_path / "evaluation").mkdir()
    for step in (5, 10, 15):  # a resume from step 5 trains the others again
        path = tmp_path / "evaluation" / f"val-{step:08}.json"
        path.write_text(json.dumps(mlm_record(step)), encoding="utf-8")
    rows = probe_table(tmp_path, 10).data
    assert [row[0] for row in rows] == [5, 10]
    assert rows[0][1:3] == ["La [MASK] estas granda.", 1]
    assert rows[0][3].startswith("domo 0.125  tago 0.125")
