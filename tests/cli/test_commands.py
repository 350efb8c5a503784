from tests.conftest import files_below, invoke, read_metrics


def test_validate_and_test_measure_a_run(cls_run, cache_dir):
    before = files_below(cls_run)
    outcome = invoke("validate", "--run", cls_run)
    assert outcome.code == 0, outcome.err
    values = {f"{float(row['val/loss']):.4f}" for row in read_metrics(cls_run) if row["val/loss"]}
    assert any(value in outcome.out for value in values)
    outcome = invoke("test", "--run", cls_run, "--data.max_test_samples", "4")
    assert outcome.code == 0, outcome.err
    assert "test/accuracy" in outcome.out
    assert "2 classes, with their number in train: " in outcome.err
    assert "test: held out from train; 4 used" in outcome.err
    assert files_below(cls_run) == before
