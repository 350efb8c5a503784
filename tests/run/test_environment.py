import json
import re

from lightning_nlp.run import environment


def test_the_commit_is_known_or_nothing(monkeypatch):
    found = environment.commit()
    assert found is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)
    monkeypatch.setenv("PATH", "")
    assert environment.commit() is None


def test_the_configuration_of_a_run_is_its_yaml_and_facts(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/mallory")
    (tmp_path / "config.yaml").write_text(
        "# python train.py fit --data.path /home/mallory/x.csv\ntrainer: {accelerator: cpu}\nmodel: {lr: 0.1}\n",
        encoding="utf-8",
    )
    config = environment.run_config(tmp_path, {"source": "/home/mallory/x.csv"})
    assert config["model"] == {"lr": 0.1}
    assert config["facts"]["data"] == {"source": "~/x.csv"}
    assert {"python", "lightning_nlp", "torch", "lightning", "transformers"} <= config["facts"]["versions"].keys()
    assert config["facts"]["hardware"]["device"].startswith("CPU")
    assert config["facts"]["hardware"]["memory_gib"] > 0
    assert config["facts"]["command"] == "python train.py fit --data.path ~/x.csv"
    assert "mallory" not in json.dumps(config)
    (tmp_path / "data.json").write_text('{"fingerprint": "abc"}', encoding="utf-8")
    assert environment.run_config(tmp_path, {})["facts"]["data"] == {"fingerprint": "abc"}
