from tests.conftest import checkpoint_of, invoke, read_metrics

# a loss that can only rise by this much less never improves: the first validation is the best
STOPS_EARLY = "--early_stopping.monitor val/loss --early_stopping.mode min --early_stopping.min_delta 100".split()
LONG = ["--trainer.max_epochs", "9"]


def test_a_resume_trains_no_further_but_with_more_patience(tiny_cls, tmp_path):
    arguments = [*tiny_cls, *STOPS_EARLY, *LONG, "--runs_dir", tmp_path]
    first = invoke("fit", *arguments, "--early_stopping.patience", "2").run
    assert checkpoint_of(first)["global_step"] == 3 * 7
    rows, last = read_metrics(first), (first / "checkpoints" / "last.ckpt").read_bytes()

    again = invoke("fit", *arguments, "--early_stopping.patience", "2", "--ckpt_path", "last")
    assert again.run == first
    assert (first / "checkpoints" / "last.ckpt").read_bytes() == last
    assert read_metrics(first) == rows

    more = invoke("fit", *arguments, "--early_stopping.patience", "4", "--ckpt_path", "last")
    assert checkpoint_of(more.run)["global_step"] == 5 * 7


def test_it_can_be_switched_off(tiny_cls, tmp_path):
    switched_off = ["--early_stopping.monitor", "null", "--early_stopping.patience", "1"]
    run = invoke("fit", *tiny_cls, *STOPS_EARLY, *switched_off, "--trainer.max_epochs", "4", "--runs_dir", tmp_path).run
    assert checkpoint_of(run)["global_step"] == 4 * 7
