"""What is out of reach or cannot be written; and what is no mistake of the user."""

import pytest

from tests.bad_input.check import fails
from tests.conftest import files_below, invoke


@pytest.mark.parametrize("option", ["--data.path", "--model.pretrained", "--data.tokenizer"])
def test_the_hub_is_out_of_reach(option, tiny_cls):
    fails(["fit", *tiny_cls, option, "nobody/nothing"], "nobody/nothing", option, "local")


@pytest.mark.parametrize("option", ["--runs_dir", "--data.cache_dir"])
def test_folders_that_cannot_be_written(option, tiny_cls, tmp_path, work):
    (tmp_path / "file").touch()
    fails(["fit", *tiny_cls, option, tmp_path / "file"], str(tmp_path / "file"), option)


def test_debug_shows_the_traceback(tiny_cls, work):
    from lightning_nlp.errors import UserError

    for spelling in (["--debug"], ["--debug=true"], ["--debug", "true"]):
        with pytest.raises(UserError, match=r"--model\.lr must be greater than 0"):
            invoke("fit", *tiny_cls, "--model.lr", "0", *spelling)
    assert files_below(work) == set()


def test_a_bug_of_ours_is_no_mistake_of_the_user(tiny_cls, monkeypatch, work):
    from lightning_nlp.models.classification import SequenceClassifier

    def broken(self: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(SequenceClassifier, "configure_optimizers", broken)
    with pytest.raises(ValueError, match="a bug"):
        invoke("fit", *tiny_cls)
    assert files_below(work) == set()
