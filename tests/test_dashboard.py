"""Workspaces and the report, made once and updated after that, against a server that keeps views in a dict."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("wandb_workspaces")

from lightning_nlp import dashboard
from lightning_nlp.dashboard_panels import NAMES, REPORT


class Server:
    """Keeps views as W&B's server does, and gives one of them a page."""

    def __init__(self):
        self.views = {}

    def execute(self, api, query, variables=None):
        if "allViews" in query:
            kept = [view for view in self.views.values() if view["type"] == variables["viewType"]]
            at = int(variables["cursor"] or 0)
            nodes = [{"node": {key: view[key] for key in ("id", "name", "displayName")}} for view in kept[at : at + 1]]
            page = {"endCursor": str(at + 1), "hasNextPage": at + 1 < len(kept)}
            return {"project": {"allViews": {"edges": nodes, "pageInfo": page}} if self.views else None}
        if "nternalId" in query:
            return {"project": {"id": "1", "internalId": "1"}}
        assert "upsertView" in query
        view = {key: variables.get(key) for key in ("id", "name", "displayName", "type", "spec", "description")}
        inserted = view["id"] is None
        view["id"] = view["id"] or f"id{len(self.views)}"
        assert not inserted or view["id"] not in self.views
        self.views[view["id"]] = view
        place = {"id": "1", "name": variables["projectName"], "entityName": variables["entityName"]}
        answer = {**view, "project": place, "updatedAt": "2000-01-01T00:00:00"}
        return {"upsertView": {"view": answer, "inserted": inserted}}


@pytest.fixture
def server(monkeypatch):
    import wandb
    from wandb_workspaces import _graphql
    from wandb_workspaces.reports.v2 import interface as reports
    from wandb_workspaces.workspaces import interface, internal

    kept = Server()

    class Api:
        default_entity = "team"

        def __init__(self, **kwargs):
            pass

        def projects(self, entity):
            return []

        def create_project(self, project, entity):
            pass

    monkeypatch.setattr(wandb, "login", lambda **kwargs: True)
    monkeypatch.setattr(wandb, "Api", Api)
    monkeypatch.setattr(reports, "_get_api", Api)
    for module in (_graphql, reports, internal):
        monkeypatch.setattr(module, "execute_graphql", kept.execute)
    for module in (interface, reports):
        monkeypatch.setattr(module, "get_app_url", lambda api: "https://w")
    return kept


def test_two_calls_leave_one_workspace_a_task_and_one_report(server, capsys):
    dashboard.main(["--project", "p"])
    first = {view["displayName"]: (key, view["name"]) for key, view in server.views.items()}
    assert set(first) == {*NAMES.values(), REPORT}
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all(line.startswith("https://w/team/p") for line in printed)
    for view in server.views.values():
        view["spec"] = "{}"  # as if someone had emptied them
    dashboard.main(["--project", "p"])
    assert len(server.views) == 3
    for view in server.views.values():
        assert view["spec"] != "{}"
        if view["displayName"] != REPORT:
            assert (view["id"], view["name"]) == first[view["displayName"]]
    assert capsys.readouterr().out.splitlines() == printed


def test_a_workspace_of_another_name_is_left_alone(server):
    server.views["mine"] = {"id": "mine", "name": "nw-a-v", "displayName": "mine", "type": "project-view", "spec": "{}"}
    dashboard.update("p", "other")
    assert server.views["mine"]["spec"] == "{}"
    assert len(server.views) == 4
    sections = json.loads(next(v for v in server.views.values() if v["displayName"] == NAMES["mlm"])["spec"])
    names = [section["name"] for section in sections["section"]["panelBankConfig"]["sections"]]
    assert names[:5] == ["Quality", "Mistakes", "Speed", "Optimizer", "Data"]
    compared = next(view for view in server.views.values() if view["displayName"] == REPORT)["spec"]
    assert "val/accuracy.max" in compared
    assert "test/bits_per_char" in compared


def test_without_a_login_there_is_one_sentence(server, monkeypatch, capsys):
    import wandb

    monkeypatch.setattr(wandb, "login", lambda **kwargs: False)
    with pytest.raises(SystemExit, match="2"):
        dashboard.main(["--project", "p"])
    assert "wandb login" in capsys.readouterr().err
    monkeypatch.setattr(wandb, "login", lambda **kwargs: (_ for _ in ()).throw(RuntimeError("not\nthere")))
    with pytest.raises(SystemExit, match="2"):
        dashboard.main(["--project", "p"])
    assert "error: W&B did not take the dashboards of p (not there)." in capsys.readouterr().err


def test_the_command_explains_itself_without_the_extra():
    code = "import sys; sys.modules['wandb_workspaces'] = None; from lightning_nlp.dashboard import main; main()"
    child = subprocess.run([sys.executable, "-c", code, "--project", "p"], capture_output=True, text=True, timeout=60)
    assert child.returncode == 2
    assert "pip install -e '.[dashboard]'" in child.stderr
