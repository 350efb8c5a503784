"""Files of settings; what the command line makes of bad ones is in tests/bad_input."""

import pytest

from lightning_nlp.cli.config_file import check_yaml
from lightning_nlp.errors import UserError


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
