import signal

from tests.conftest import ctrl_c, invoke


def test_under_nohup_a_closed_terminal_stops_nothing(tiny_cls, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ctrl_c("on_train_batch_start", [2], number=signal.SIGHUP):
            outcome = invoke("fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert outcome.code == 0, outcome.err
