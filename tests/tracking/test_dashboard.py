import json
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("wandb_workspaces")

from lightning_nlp.tasks import TASKS
from lightning_nlp.tracking import dashboard
from lightning_nlp.tracking.charts import figures
from lightning_nlp.tracking.dashboard import OF_ALL, workspace
from tests.conftest import cls_record, mlm_record, read_metrics


@pytest.mark.parametrize(("task", "record"), [("classification", cls_record), ("mlm", mlm_record)])
def test_what_is_shown_is_logged(task, record, cls_run, mlm_run):
    logged = set(read_metrics(cls_run if task == "classification" else mlm_run)[0])
    logged |= set(figures(record(1))) | {"perf/packing_efficiency"}  # that one only with data.tokens_per_batch
    row = TASKS[task]
    shown = [
        name for plots in (row.quality, row.mistakes, *OF_ALL.values()) for part in plots.values() for name in part
    ]
    for name in shown:
        pattern = name.removeprefix("re:") if name.startswith("re:") else re.escape(name)
        assert any(re.fullmatch(pattern, one) for one in logged), name
    assert set(row.compared) <= {f"val/{metric.name}.{metric.better}" for metric in row.metrics} | logged
    spec = workspace("e", "p", row)._to_model().spec.model_dump_json(by_alias=True)
    assert f'"{task}"' in spec  # the tag of its runs
    assert '"xAxis":"trainer/global_step"' in spec
    assert all(name.removeprefix("re:") in spec for name in [*shown, *row.compared])


class Server:
    """Keeps views as W&B's server does, and hands them out one a page."""

    app_url = "https://w"

    def __init__(self):
        self.views, self.projects = {}, ["other"]

    def execute_graphql(self, query, variables, parse=lambda text: json.loads(text), **options):
        return parse(json.dumps(self.answer(query, variables)))

    def answer(self, query, variables):
        if "allViews" in query:
            kept = [view for view in self.views.values() if view["type"] == variables["viewType"]]
            at = int(variables["reportCursor"] or 0)
            edges = [{"cursor": str(at + 1), "node": view} for view in kept[at : at + 1]]
            page = {"endCursor": str(at + 1), "hasNextPage": at + 1 < len(kept)}
            return {"project": {"allViews": {"edges": edges, "pageInfo": page}}}
        if "nternalId" in query:
            return {"project": {"id": "1", "internalId": "1"}}
        assert "upsertView" in query
        view = {key: variables.get(key) for key in ("id", "name", "displayName", "type", "spec")}
        assert variables["projectName"] in self.projects
        assert view["id"] is None or view["id"] in self.views
        view["id"] = view["id"] or f"id{len(self.views)}"
        self.views[view["id"]] = view
        return {"upsertView": {"view": view, "inserted": True}}


@pytest.fixture
def server(monkeypatch):
    import wandb
    from wandb.apis import public

    kept = Server()

    class Api:
        default_entity = "team"

        def __init__(self, **kwargs):
            self._service_api = kept

        def projects(self, entity):
            return [SimpleNamespace(name=name) for name in kept.projects]

        def create_project(self, project, entity):
            kept.projects.append(project)

        def reports(self, path):
            return public.Reports(kept, public.Project(kept, *path.split("/"), {}))

    monkeypatch.setattr(wandb, "login", lambda **kwargs: True)
    monkeypatch.setattr(wandb, "Api", Api)
    return kept


def test_two_calls_leave_one_workspace_a_task_and_others_alone(server, capsys):
    mine = {"id": "mine", "name": "nw-a-v", "displayName": "mine", "type": "project-view", "spec": "{}"}
    server.views["mine"] = mine.copy()
    dashboard.main(["--project", "p"])
    assert server.views.pop("mine") == mine
    first = {view["displayName"]: (key, view["name"]) for key, view in server.views.items()}
    assert set(first) == {task.workspace for task in TASKS.values()}
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(TASKS)
    assert all(line.startswith("https://w/team/p?nw=") for line in printed)
    for view in server.views.values():
        shown = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
        sections = [section["name"] for section in shown][:5]
        assert sections == ["Runs compared", "Quality", "Mistakes", "Speed", "Optimizer"]
        view["spec"] = "{}"  # as if someone had emptied them
    dashboard.main(["--project", "p"])
    assert {view["displayName"]: (key, view["name"]) for key, view in server.views.items()} == first
    assert all(view["spec"] != "{}" for view in server.views.values())
    assert capsys.readouterr().out.splitlines() == printed
    assert server.projects == ["other", "p"]


def not_there(**kwargs):
    raise RuntimeError("not\nthere")


@pytest.mark.parametrize(
    ("place", "answer", "words"),
    [
        ("wandb.login", lambda **kwargs: False, "run `wandb login` first"),
        ("wandb.login", not_there, "W&B did not accept the dashboards of p (not there)."),
        ("lightning_nlp.tracking.dashboard.find_spec", lambda name: None, "pip install -e '.[dashboard]'"),
    ],
)
def test_what_fails_is_one_sentence(place, answer, words, server, monkeypatch, capsys):
    monkeypatch.setattr(place, answer)
    with pytest.raises(SystemExit, match="2"):
        dashboard.main(["--project", "p"])
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert words in err
