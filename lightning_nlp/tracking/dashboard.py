"""Creates or updates W&B's saved workspaces, one per task.

W&B itself adds a panel for every other metric, chart and table of a run. A workspace is found by its name and
overwritten: keep your changes under another name.
"""

import argparse
import os
import sys
from importlib.util import find_spec
from typing import Any

from lightning_nlp.errors import UserError, one_line
from lightning_nlp.private_api import replace_view
from lightning_nlp.tasks import TASKS, Plots, Task

STEP = "trainer/global_step"
# For all tasks, by section.
OF_ALL: dict[str, Plots] = {
    "Speed": {
        "Tokens a second": ["perf/tokens_per_s"],
        "Model FLOPs utilisation": ["perf/mfu"],
        "Real tokens / places in the batch": ["perf/padding_efficiency", "perf/packing_efficiency"],
        "Share of the time waiting for data": ["perf/data_wait"],
        "Peak memory, GiB": ["perf/peak_memory_gib"],
    },
    "Optimizer": {
        "Training loss": ["train/loss"],
        "Learning rate": ["train/lr"],
        "Gradient norm before clipping": ["train/grad_norm"],
    },
}


def workspace(entity: str, project: str, task: Task) -> Any:
    """A task's workspace, not saved yet."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    bars = [wr.BarPlot(title=name, metrics=[wr.SummaryMetric(name)]) for name in task.compared]
    sections: dict[str, list[Any]] = {"Runs compared": [*bars, wr.RunComparer(diff_only="split")]}
    for section, plots in {"Quality": task.quality, "Mistakes": task.mistakes, **OF_ALL}.items():
        sections[section] = []
        for title, names in plots.items():
            pattern = names[0].removeprefix("re:")
            which: dict[str, Any] = {"y": [*names]} if pattern == names[0] else {"metric_regex": pattern}
            sections[section].append(wr.LinePlot(title=title, x=STEP, **which))
    return ws.Workspace(
        entity=entity,
        project=project,
        name=task.workspace,
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
        settings=ws.WorkspaceSettings(x_axis=STEP),
        runset_settings=ws.RunsetSettings(filters=ws.And(ws.Tags().isin([task.name]))),
        auto_generate_panels=True,
    )


def update(project: str, entity: str | None = None) -> list[str]:
    """Create or update a project's workspaces, and the project if needed; returns their addresses.

    Raises:
        UserError: If W&B cannot be reached or refuses them, or wandb-workspaces is not installed.
    """
    if find_spec("wandb_workspaces") is None:
        raise UserError("Dashboards need wandb-workspaces: pip install -e '.[dashboard]'.")
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    try:
        if not wandb.login(prompt=False, verify=True, timeout=15):
            raise UserError("Dashboards are kept by W&B's server, and there is no login: run `wandb login` first.")
        api = wandb.Api(timeout=30)
        entity = entity or api.default_entity
        if entity is None:
            raise UserError("W&B does not name an owner for the dashboards: give --entity, your user or team.")
        if project not in [known.name for known in api.projects(entity)]:
            api.create_project(project, entity)
        saved = api.reports(f"{entity}/{project}")
        saved.variables["viewType"] = "project-view"  # workspaces are stored like reports and cannot be listed
        by_name = {view.display_name: view for view in reversed(list(saved))}
        addresses = []
        for task in TASKS.values():
            view = workspace(entity, project, task)
            if task.workspace in by_name:
                replace_view(view, by_name[task.workspace])
            view.save()
            addresses.append(view.url)
    except UserError:
        raise
    except Exception as error:  # the server refuses or does not answer
        raise UserError(f"W&B did not accept the dashboards of {project} ({one_line(error)[:300]}).") from error
    return addresses


def main(arguments: list[str] | None = None) -> None:
    """Run the command: prints the addresses, one per line; exits with 2 and one sentence if it fails."""
    parser = argparse.ArgumentParser(prog="python -m lightning_nlp.tracking.dashboard", description=__doc__)
    parser.add_argument("--project", required=True, help="The W&B project that the runs are in.")
    parser.add_argument("--entity", help="The user or team that owns it; default: the login's.")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(update(options.project, options.entity)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
