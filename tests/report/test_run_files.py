import pytest

from lightning_nlp.errors import UserError
from lightning_nlp.report.run_files import read_run


def test_a_run_is_read(cls_run, tmp_path):
    run = read_run(cls_run)
    assert run.command.startswith("python train.py fit")
    assert run.name == "quickstart/0"
    assert run.facts["state"] == "finished"
    assert [record["step"] for record in run.validations] == [7, 14]
    assert run.test["stage"] == "test"
    steps, losses = run.series("train/loss")
    assert steps == list(range(1, 15))
    assert len(losses) == 14
    (tmp_path / "config.yaml").write_bytes((cls_run / "config.yaml").read_bytes())
    run = read_run(tmp_path)
    assert (run.rows, run.record, run.facts, run.data) == ([], {}, {}, {}), "all else may be missing"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "trainer: {"),
        ("config.yaml", "a list"),
        ("config.yaml", b"\xff\xfe\x00"),
        ("facts.json", "{"),
        ("data.json", "[]"),
        ("metrics.csv", "step,train/loss\n0,much\n"),
    ],
)
def test_what_is_no_run_is_one_error(name, content, cls_run, tmp_path):
    (tmp_path / "config.yaml").write_bytes((cls_run / "config.yaml").read_bytes())
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=f"{tmp_path}"):
        read_run(tmp_path)
