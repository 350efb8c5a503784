"""W&B's saved workspaces, one a task, and a report that compares runs: made, or brought up to date, by one command.

    python -m lightning_nlp.dashboard --project lightning_nlp [--entity TEAM]

It needs `pip install -e '.[dashboard]'`. A view is found again by its name, and then overwritten: keep changes of your
own under another name.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from lightning_nlp.dashboard_panels import NAMES, REPORT, report, workspace
from lightning_nlp.errors import UserError, one_line

VIEWS = """
query ProjectViews($project: String!, $entity: String!, $viewType: String!, $cursor: String) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: $viewType, first: 100, after: $cursor) {
      edges { node { id name displayName } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


def saved_views(execute: Callable[..., Any], entity: str, project: str, kind: str) -> dict[str, dict[str, str]]:
    """The views of a project that the server has, by the name that people see; of equal names the first.

    Args:
        execute: Takes a GraphQL query and its variables, and gives the answer's data.
        entity: The user or team.
        project: The project, which need not exist.
        kind: "project-view" for workspaces, "runs" for reports.
    """
    found: dict[str, dict[str, str]] = {}
    cursor = None
    while True:
        variables = {"entity": entity, "project": project, "viewType": kind, "cursor": cursor}
        views = ((execute(VIEWS, variables) or {}).get("project") or {}).get("allViews") or {}
        for edge in views.get("edges") or []:
            found.setdefault(edge["node"]["displayName"], edge["node"])
        page = views.get("pageInfo") or {}
        if not page.get("hasNextPage"):
            return found
        cursor = page["endCursor"]


def update(project: str, entity: str | None = None) -> list[str]:
    """Make the report and the workspaces of a project, or bring those that it has up to date.

    Args:
        project: The W&B project.
        entity: The user or team; None takes the login's own.

    Returns:
        Their addresses.

    Raises:
        UserError: If W&B cannot be reached or does not take them, or wandb-workspaces is not installed.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        from wandb_workspaces._graphql import execute_graphql
    except ImportError as error:
        raise UserError("Dashboards need wandb-workspaces: pip install -e '.[dashboard]'.") from error
    import wandb

    try:
        if not wandb.login(prompt=False, verify=True, timeout=15):
            raise UserError("Dashboards are kept by W&B's server, and there is no login: run `wandb login` first.")
        api = wandb.Api(timeout=30)
        entity = entity or api.default_entity
        if entity is None:
            raise UserError("W&B does not say whose dashboards these are: give --entity, your user or team.")

        def execute(query: str, variables: dict[str, Any]) -> Any:
            return execute_graphql(api, query, variables)

        page = report(entity, project)
        page.id = saved_views(execute, entity, project, "runs").get(REPORT, {}).get("id", "")
        page.save()  # it makes the project, where there is none
        addresses = [page.url]
        views = saved_views(execute, entity, project, "project-view")
        for task in NAMES:
            view = workspace(entity, project, task)
            if NAMES[task] in views:
                view._internal_id, view._internal_name = (views[NAMES[task]][key] for key in ("id", "name"))
            view.save()
            addresses.append(view.url)
    except UserError:
        raise
    except Exception as error:  # whatever the libraries make of a server that refuses or is away
        raise UserError(f"W&B did not take the dashboards of {project} ({one_line(error)[:300]}).") from error
    return addresses


def main(arguments: list[str] | None = None) -> None:
    """The command: prints the addresses, one a line; exit code 2 and one sentence if it fails.

    Args:
        arguments: The command line without the program's name; None takes that of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lightning_nlp.dashboard", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--project", required=True, help="The W&B project that the runs are in.")
    parser.add_argument("--entity", help="The user or team that has it; left out, the login's own.")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(update(options.project, options.entity)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
