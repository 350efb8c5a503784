from lightning_nlp.data.splits import build_splits
from tests.data.test_splits import contents, make_source, reviews


def test_many_rows_and_batches(tmp_path):
    source = make_source(train=reviews(5321), test=reviews(1500, 10_000))
    splits, names, _ = build_splits(source, work_dir=tmp_path, max_test_samples=700)
    rows = contents(splits, names)
    assert sorted(rows["train"] + rows["validation"]) == sorted(reviews(5321))
    assert len(rows["test"]) == 700
    assert set(rows["test"]) < set(reviews(1500, 10_000))


def test_long_texts_make_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.data.arrow.WRITE_CHARACTERS", 25)  # two or three reviews
    splits, names, _ = build_splits(make_source(train=reviews(40), test=reviews(5, 100)), work_dir=tmp_path)
    rows = contents(splits, names)
    assert sorted(rows["train"] + rows["validation"]) == sorted(reviews(40))
    assert rows["test"] == reviews(5, 100)
    assert 8 < len(splits["train"].data.to_batches()) < 36
