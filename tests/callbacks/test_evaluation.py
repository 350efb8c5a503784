import pytest
from safetensors.numpy import load_file

from tests.bad_input.check import check
from tests.conftest import invoke


@pytest.mark.parametrize("more", [["--data.packing", "false"], ["--data.tokens_per_batch", "64"]])
def test_however_the_batches_are_made_rows_keep_their_predictions(more, tiny_cls, cls_run, tmp_path):
    other = invoke("fit", *tiny_cls, "--trainer.max_steps", "1", *more, "--runs_dir", tmp_path).run
    ours, theirs = (load_file(run / "evaluation" / "test.safetensors") for run in (cls_run, other))
    for name in ("rows", "labels", "lengths"):
        assert ours[name].tolist() == theirs[name].tolist()


@pytest.mark.parametrize(
    ("task", "probes", "words"),
    [
        ("mlm", '["La hundo estas granda."]', ["'La hundo estas granda.' has no [MASK]", "--probes"]),
        ("cls", '["La [MASK]"]', ["--probes are for a masked language model"]),
    ],
)
def test_probes_that_make_no_sense(task, probes, words, request, tmp_path):
    tiny = request.getfixturevalue(f"tiny_{task}")
    check(invoke("fit", *tiny, "--probes", probes, "--runs_dir", tmp_path), *words)
    assert list(tmp_path.iterdir()) == []
