import yaml

from tests.conftest import invoke


def test_what_is_null_where_the_default_is_not_stays_so(tiny_cls, tmp_path):
    nulls = ["--checkpoint.monitor", "null", "--model.attention_dropout", "null"]
    logger = ["--trainer.logger", "WandbLogger", "--offline"]  # which reads config.yaml
    run = invoke("fit", *tiny_cls, *nulls, *logger, "--trainer.max_epochs", "1", "--runs_dir", tmp_path).run
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["checkpoint"]["monitor"] is config["model"]["init_args"]["attention_dropout"] is None
    measured = invoke("test", "--run", run)
    assert measured.code == 0, measured.err


def test_precision_is_filled_in_and_told(tiny_cls, tmp_path):
    from lightning_nlp.training.precision import default_precision

    arguments = list(tiny_cls)
    arguments[arguments.index("--trainer.precision") + 1] = "null"
    outcome = invoke("fit", *arguments, "--trainer.max_epochs", "1", "--runs_dir", tmp_path)
    precision = default_precision("cpu")
    config = yaml.safe_load((outcome.run / "config.yaml").read_text(encoding="utf-8"))
    assert config["trainer"]["precision"] == precision
    assert precision in outcome.err
    assert precision in outcome.out
