import threading
from types import SimpleNamespace

import pytest
import wandb

from lightning_nlp.tracking import artifact as wandb_export
from lightning_nlp.tracking.artifact import send_export


class Run:
    project, entity = "p", "e"

    def __init__(self, offline=False):
        self.offline = offline
        self.summary = {"val/accuracy": {"max": 0.9, "last": 0.5}}  # of a step whose checkpoint is gone
        self.used, self.logged = [], []
        data = {"fingerprint": "f" * 40, "source": "demo"}
        settings = {"facts": {"data": data}, "checkpoint": {"monitor": "val/accuracy", "mode": "max"}}
        self.config = SimpleNamespace(as_dict=lambda: settings)

    def use_artifact(self, artifact):
        self.used.append(artifact)

    def log_artifact(self, artifact, aliases):
        self.logged.append((artifact, aliases))


@pytest.fixture
def said(monkeypatch):
    spoken = []
    monkeypatch.setattr(wandb_export, "rank_zero_info", spoken.append)
    return spoken


@pytest.fixture
def server(monkeypatch):
    """W&B's server with this metadata of the best export so far, or this failure."""

    def set_best(best):
        def artifact(address, type):
            assert (address, type) == ("e/p/cls:best", "model")
            if isinstance(best, Exception):
                raise best
            return SimpleNamespace(metadata=best)

        monkeypatch.setattr(wandb, "Api", lambda timeout: SimpleNamespace(artifact=artifact))

    return set_best


@pytest.fixture
def run_dir(tmp_path):
    export = tmp_path / "cls" / "0" / "export"
    export.mkdir(parents=True)
    (export / "config.json").write_text("{}")
    (export.parent / "facts.json").write_text('{"validation": {"val/accuracy": 0.75}}')
    return export.parent


@pytest.mark.parametrize(
    ("best", "aliases"),
    [
        ({"monitor": "val/accuracy", "score": 0.8}, ["last"]),
        ({"monitor": "val/accuracy", "score": 0.75}, ["last", "best"]),
        ({"monitor": "val/loss", "score": 0.1}, ["last", "best"]),
        (wandb.errors.CommError("there is none"), ["last", "best"]),
    ],
)
def test_the_export_is_sent_with_its_lineage(best, aliases, server, said, run_dir):
    server(best)
    run = Run()
    send_export(run, run_dir)
    ((artifact, found),) = run.logged
    assert found == aliases
    assert artifact.name == "cls"
    assert artifact.type == "model"
    assert artifact.metadata["data_fingerprint"] == "f" * 40
    assert artifact.metadata["score"] == 0.75
    assert list(artifact.manifest.entries) == ["config.json"]
    files = [entry.local_path for sent in (artifact, *run.used) for entry in sent.manifest.entries.values()]
    assert files == [str(run_dir / "export" / "config.json"), str(run_dir / "wandb" / "data.json")]
    assert [used.name for used in run.used] == ["data-" + "f" * 16]
    assert said == []


def test_an_export_that_is_not_sent_says_how_to_send_it(said, run_dir, monkeypatch):
    def refuse(run, run_dir):
        raise RuntimeError("no\nroom")

    over, run = threading.Event(), Run(offline=True)
    send_export(run, run_dir)
    monkeypatch.setattr(wandb_export, "log_export", refuse)
    send_export(Run(), run_dir)
    monkeypatch.setattr(wandb_export, "SECONDS", 0.2)
    monkeypatch.setattr(wandb_export, "log_export", lambda run, run_dir: over.wait())
    send_export(Run(), run_dir)
    over.set()
    assert run.logged == []
    for line, reason in zip(said, ("offline run", "was not sent (no room)", "does not answer"), strict=True):
        assert reason in line
        assert f"wandb artifact put --type model --name p/cls --alias last {run_dir}/export" in line
