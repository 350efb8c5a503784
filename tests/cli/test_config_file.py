"""Files of settings, ours and others; what the command line makes of bad ones is in tests/bad_input."""

import pytest

from lightning_nlp.cli.config_file import SHIPPED, check_yaml
from lightning_nlp.errors import UserError
from tests.conftest import files_below, invoke


def test_a_good_file_passes_with_anchors_merges_and_equal_keys_in_different_places(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text("a: &sizes {lr: 1, dim: 2}\nb:\n  <<: *sizes\n  lr: 3\nc: [{lr: 1}, {lr: 2}]\n", encoding="utf-8")
    check_yaml(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a:\n  lr: 1\n  dim: 2\n  lr: 3\n", "'lr' is given twice .*line 4"),
        ("a: {lr: 1, lr: 1}\n", "'lr' is given twice"),
        ("a: 1\n'a': 2\n", "'a' is given twice"),
        ("", "but nothing"),
        ("- a\n", "but list"),
        ("5: 1\n", "the key 5"),
        ("a: [" + "[" * 5000, "is not YAML"),
    ],
)
def test_a_bad_file_is_named(text, found, tmp_path):
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"bad\.yaml .*{found}.*give another --config"):
        check_yaml(tmp_path / "bad.yaml")


def test_the_shipped_files_are_written_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("configs").code == 0
    assert files_below(tmp_path) == {path.name for path in SHIPPED.glob("*.yaml")}
    (tmp_path / "cls.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "mlm.yaml").unlink()
    outcome = invoke("configs")
    assert outcome.code == 2
    assert "Nothing is written, because cls.yaml, labels.yaml, " in outcome.err
    assert (tmp_path / "cls.yaml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "mlm.yaml").exists()


@pytest.mark.parametrize("name", ["cls.yaml", "configs/cls.yaml"])
def test_a_shipped_file_is_found_from_anywhere_unless_one_of_its_name_is_here(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "distilbert/distilbert-base-uncased" in invoke("fit", "--config", name, "--print_config").out
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("model: lightning_nlp.SequenceClassifier\ndata: lightning_nlp.IMDBDataModule\n")
    assert "distilbert/distilbert-base-uncased" not in invoke("fit", "--config", name, "--print_config").out
