from lightning_nlp.callbacks import nonfinite_report
from tests.bad_input.check import check
from tests.callbacks.test_nonfinite import planted, poison_gradient
from tests.conftest import files_below, full_disk, invoke


def test_a_full_disk_does_not_hide_the_step(tiny_cls, tmp_path, monkeypatch):
    original = nonfinite_report.save_step

    def on_a_full_disk(*args):
        with full_disk():
            return original(*args)

    monkeypatch.setattr(nonfinite_report, "save_step", on_a_full_disk)
    with planted("on_after_backward", {2}, poison_gradient):
        outcome = invoke("fit", *tiny_cls, "--data.batch_size", "32", "--runs_dir", tmp_path)
    check(outcome, "Step 2 is not finite", "cannot be written (File too large)")
    assert files_below(tmp_path / "quickstart" / "0" / "nonfinite") == set()
