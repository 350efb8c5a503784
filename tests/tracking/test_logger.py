import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from jsonargparse import Namespace

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.errors import UserError
from lightning_nlp.run.metrics_csv import MetricsCSV
from lightning_nlp.tracking import logger as wandb_logger
from lightning_nlp.tracking.logger import WandbLogger, configure_wandb
from lightning_nlp.tracking.setup import prepare_loggers
from tests.conftest import ctrl_c, invoke, mlm_record, read_metrics, train, wandb_records, without

KEY = "f" * 40


@pytest.fixture
def said(monkeypatch):
    spoken = []
    monkeypatch.setattr(wandb_logger, "rank_zero_info", spoken.append)
    return spoken


class Login(BaseHTTPRequestHandler):
    """Answers the login with the server's status, and fails at each other request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace").lower()
        viewer = {"id": "v", "entity": "e", "username": "e", "email": "", "flags": "{}", "teams": {"edges": []}}
        status = self.server.status if "viewer" in asked and "upsert" not in asked else 500
        body = json.dumps({"data": {"viewer": viewer}} if status == 200 else {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Login)
    server.status = 200
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def online(server, monkeypatch, tmp_path):
    """W&B's own client in this process, which has a key for the server."""
    import wandb

    wandb.teardown()
    monkeypatch.delenv("WANDB_MODE")
    own = {"HOME": tmp_path, "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url, "WANDB_HTTP_TIMEOUT": 1}
    for name, value in (own | {"no_proxy": "*", "WANDB_SILENT": "true"}).items():
        monkeypatch.setenv(name, str(value))
    yield server
    wandb.teardown()


@pytest.mark.parametrize(("status", "mode"), [(200, "online"), (503, "offline")])
def test_a_server_that_does_not_answer_leaves_the_run_offline(status, mode, online, said, tmp_path):
    online.status = status
    assert configure_wandb({}, tmp_path / "cls" / "0")["mode"] == mode
    sync = f"wandb sync {tmp_path}/cls/0/wandb/offline-run-*"
    assert [f"{online.url} does not answer, so this run is kept offline" in x and sync in x for x in said] == (
        [True] if status == 503 else []
    )


@pytest.mark.parametrize(("key", "status", "words"), [(KEY, 401, "returned error 401"), ("short", 200, "characters")])
def test_a_refused_key_is_an_error(key, status, words, online, said, tmp_path, monkeypatch):
    online.status = status
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(UserError, match=rf"refused the login .*{words}.*WANDB_API_KEY.*--offline"):
        configure_wandb({}, tmp_path / "cls" / "0")
    assert said == []


@pytest.fixture
def environment(monkeypatch):
    """Sets variables for W&B's own client, which reads them anew."""
    import wandb

    wandb.teardown()
    yield lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]
    wandb.teardown()


@pytest.mark.parametrize(("mode", "meant"), [("", "offline"), ("dryrun", "offline"), ("disabled", "disabled")])
def test_the_environment_says_mode_project_and_name(mode, meant, environment, tmp_path):
    environment(WANDB_MODE=mode, WANDB_API_KEY="", WANDB_PROJECT="mine", WANDB_NAME="trial")
    found = configure_wandb({"project": "lightning_nlp", "resume": None, "id": None}, tmp_path / "cls" / "0")
    assert found.pop("id")
    where = {"save_dir": str(tmp_path / "cls" / "0")}
    assert found == {"project": "mine", "name": "trial", "resume": "allow", "mode": meant, **where}
    given = configure_wandb({"project": "another", "name": "own"}, tmp_path / "cls" / "0")
    assert (given["project"], given["name"]) == ("another", "own")
    settings = WandbLogger(save_dir=tmp_path, mode=meant, settings={"console": "auto"})._wandb_init["settings"]
    assert (settings["console"], settings["x_disable_meta"]) == ("auto", True), "the user's go over ours"


@pytest.mark.parametrize("variable", ["WANDB_MODE=disable", "WANDB_BASE_URL=localhost:8080"])
def test_what_wandb_does_not_take_is_one_sentence(variable, environment, tmp_path):
    name, _, value = variable.partition("=")
    environment(**{name: value})
    with pytest.raises(UserError, match=f"does not accept {variable} .*unset it"):
        configure_wandb({}, tmp_path / "cls" / "0")


def test_an_end_that_takes_too_long_says_how_to_send_the_rest(said, tmp_path):
    class Stuck:
        def finish(self, exit_code):
            raise TimeoutError("Timed out finishing run.")

    logger = WandbLogger(save_dir=tmp_path, experiment=Stuck())
    logger.finish()
    (line,) = said
    assert f"wandb sync --no-skip-online {tmp_path}/wandb/run-*" in line
    WandbLogger(save_dir=tmp_path).finish()  # never begun: nothing to say
    assert len(said) == 1


def test_a_server_that_fails_after_the_login_does_not_stop_the_training(server, tiny_cls, tmp_path):
    (tmp_path / "home").mkdir()
    own = {"HOME": str(tmp_path / "home"), "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url, "no_proxy": "*"}
    code = (
        "import sys; from lightning_nlp.tracking import logger; logger.WANDB_SETTINGS['init_timeout'] = 3.0;"
        "from lightning_nlp.cli.main import main; main(sys.argv[1:])"
    )
    arguments = ["fit", *without(tiny_cls, "--trainer.logger"), "--trainer.max_epochs", "1"]
    child = train(*arguments, cwd=tmp_path, code=code, **own)
    assert child.returncode == 0, child.stderr
    (line,) = [line for line in child.stderr.splitlines() if "W&B" in line]
    assert "the server failed" in line
    run = tmp_path / child.stdout.splitlines()[-1]
    assert len([row for row in read_metrics(run) if row["train/loss"]]) == 7
    (kept,) = (run / "wandb").glob("offline-run-*/*.wandb")
    assert kept.stat().st_size > 1000


def test_a_resumed_run_does_not_repeat_the_steps_that_a_killed_one_had_sent(tmp_path):
    class Run:
        def __init__(self):
            self.steps = []

        def log(self, metrics):
            self.steps.append(metrics.get("trainer/global_step"))

    metrics = MetricsCSV(tmp_path / "metrics.csv")
    for step in range(6):  # the checkpoint is of step 3
        metrics.log_metrics({"train/loss": 1.0}, step=step)
    (tmp_path / "config.yaml").write_text(
        "trainer: {logger: [{class_path: WandbLogger, init_args: {id: abc}}]}", encoding="utf-8"
    )
    entry = Namespace(class_path="WandbLogger", init_args=Namespace(offline=True))
    config = Namespace(trainer=Namespace(logger=[entry]))
    prepare_loggers(config, tmp_path, resumed=True)
    arguments = config.trainer.logger[0].init_args.as_dict()
    assert arguments["id"] == "abc"
    logger = WandbLogger(**arguments)
    logger._experiment = Run()
    for step in range(3, 8):
        logger.log_metrics({"train/loss": 1.0}, step=step)
    assert logger._experiment.steps == [5, 6, 7]


def history(records):
    """What was logged, by (step, name); a value that came twice is there twice."""
    values = {}
    for record in records:
        if record["type"] == "history":
            item = record["history"]["item"]
            for name, value in item.items():
                values.setdefault((item.get("trainer/global_step"), name), []).append(value)
    return values


def test_a_runs_w_and_b_run_holds_its_metrics_its_configuration_and_its_end(tiny_cls, tmp_path):
    outcome = invoke(
        "fit", *without(tiny_cls, "--trainer.logger"), "--offline", "--upload_export", "--runs_dir", tmp_path
    )
    run = outcome.run
    notice, later = [line for line in outcome.err.splitlines() if "W&B: " in line]
    assert f"wandb leet {run}/wandb" in notice
    assert "export is not in this offline run" in later
    records = wandb_records(run)
    logged = history(records)
    rows = [(int(row["step"]), name, float(row[name])) for row in read_metrics(run) for name in row if row[name]]
    wanted = [entry for entry in rows if entry[1] not in ("step", "epoch")]  # a step has one epoch, in several rows
    assert len(wanted) > 100
    assert all(logged[step, name] == [pytest.approx(value, rel=1e-6)] for step, name, value in wanted)
    assert {"train/grad_norm", "train/lr", "perf/tokens_per_s", "val/f1"} <= {name for _, name, _ in wanted}
    accuracies = [value for _, name, value in wanted if name == "val/accuracy"]
    assert [logged[key][0] for key in sorted(logged) if key[1] == "val/best"] == [accuracies[0], max(accuracies)]
    config = {}
    for record in records:
        config |= record["config"].get("update", {}) if record["type"] == "config" else {}
    assert config["model"]["init_args"]["lr"] == 0.01
    assert config["data"]["init_args"]["max_length"] == 32
    assert {"versions", "data", "hardware"} <= config["facts"].keys()
    steps = {name: [step for step, found in sorted(logged) if found == name] for name in ("val/ece", "val/accuracy")}
    assert steps["val/ece"] == steps["val/accuracy"]
    assert (14, "test/mistakes.path") in logged
    assert "_wandb.visualize.val/roc" in config
    assert [record["exit"].get("exit_code", 0) for record in records if record["type"] == "exit"] == [0]
    assert "artifact" not in {record["type"] for record in records}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None], ids=["SIGTERM", "SIGINT", "an error"])
def test_a_training_that_is_interrupted_or_fails_is_not_finished(number, tiny_cls, tmp_path, monkeypatch):
    arguments = ["fit", *without(tiny_cls, "--trainer.logger"), "--offline", "--runs_dir", tmp_path]
    if number is None:
        monkeypatch.setattr(Throughput, "on_validation_start", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            invoke(*arguments)
    else:
        with ctrl_c("on_train_batch_end", [2], number):
            assert invoke(*arguments).code == 128 + number
    records = wandb_records(tmp_path / "quickstart" / "0")
    (end,) = [record["exit"]["exit_code"] for record in records if record["type"] == "exit"]
    assert end == (128 + number if number else 1)
    assert ("preempting" in {record["type"] for record in records}) is (number == signal.SIGTERM)


def test_a_language_models_evaluations_after_a_resume(tmp_path):
    logger = WandbLogger(save_dir=tmp_path, project="p", mode="offline", skip_before=7)
    for record in (mlm_record(6), mlm_record(8), mlm_record(10)):
        write_whole(tmp_path / "evaluation" / f"val-{record['step']:08}.json", json.dumps(record))
        logger.log_evaluation(record)
    logger.finish()
    records = wandb_records(tmp_path)
    logged = history(records)
    assert (5, "val/probes.path") not in logged, "sent before the resume"
    assert logged[7, "val/top1/word"] == [0.25]
    (probes,) = logged[9, "val/probes.path"]
    (files,) = (tmp_path / "wandb").glob("offline-run-*/files")
    shown = json.loads((files / probes).read_text(encoding="utf-8"))
    assert [row[0] for row in shown["data"]] == [6, 8, 10]
    assert "artifact" not in {record["type"] for record in records}
