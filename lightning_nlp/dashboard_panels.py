"""What W&B's workspaces and the report show, by section, out of what a training logs."""

from __future__ import annotations

from typing import Any

STEP = "trainer/global_step"
NAMES = {"classification": "lightning_nlp: classification", "mlm": "lightning_nlp: masked language model"}
REPORT = "lightning_nlp: runs compared"

# A section's plots over the training: each one with its metrics; "re:" is a pattern of their names.
SPEED = {
    "Tokens a second": ["perf/tokens_per_s"],
    "Model FLOPs utilisation": ["perf/mfu"],
    "Real tokens / places in the batch": ["perf/padding_efficiency", "perf/packing_efficiency"],
    "Share of the time waiting for data": ["perf/data_wait"],
    "Peak memory, GiB": ["perf/peak_memory_gib"],
}
OPTIMIZER = {
    "Training loss": ["train/loss"],
    "Learning rate": ["train/lr"],
    "Gradient norm before clipping": ["train/grad_norm"],
}
QUALITY = {
    "classification": {
        "Accuracy": ["val/accuracy"],
        "Macro F1": ["val/f1"],
        "Macro precision and recall": ["val/precision", "val/recall"],
        "Loss on train and validation": ["train/loss", "val/loss"],
        "Calibration error": ["val/ece", "val/brier"],
    },
    "mlm": {
        "Loss on train and validation": ["train/loss", "val/loss"],
        "Perplexity": ["val/perplexity"],
        "Bits a character": ["val/bits_per_char"],
        "Top-1 and top-5 accuracy": ["val/top1", "val/top5"],
    },
}
MISTAKES = {
    "classification": {
        "F1 by class": ["re:val/f1/.+"],
        "Precision and recall by class": ["re:val/(precision|recall)/.+"],
    },
    "mlm": {
        "Top-1 accuracy of words and subwords": ["val/top1/word", "val/top1/subword"],
        "Top-1 accuracy by the token's count in train": ["re:val/top1/[0-9].*"],
    },
}
# W&B's own chart definitions, by the names under which `wandb_charts` logs what they show.
CHARTS = {
    "confusion_matrix": ("wandb/confusion_matrix/v1", ("Actual", "Predicted", "nPredictions")),
    "precision_recall": ("wandb/line/v0", {"x": "recall", "y": "precision", "stroke": "series"}),
    "roc": ("wandb/line/v0", {"x": "false positive rate", "y": "true positive rate", "stroke": "series"}),
    "reliability": ("wandb/line/v0", {"x": "confidence", "y": "accuracy", "stroke": "series"}),
    "accuracy_by_length": ("wandb/bar/v0", {"label": "length in tokens", "value": "accuracy"}),
    "top1_by_frequency": ("wandb/bar/v0", {"label": "count in train", "value": "accuracy"}),
}
COMPARED = {
    "classification": ["val/accuracy", "val/f1", "test/accuracy", "test/f1"],
    "mlm": ["val/loss", "val/top1", "test/loss", "test/bits_per_char"],
}
# The best value of each run; a test has but one.
BEST = {"val/accuracy": "max", "val/f1": "max", "val/loss": "min", "val/top1": "max"}


def plots(wanted: dict[str, list[str]]) -> list[Any]:
    """Line plots over the optimizer steps.

    Args:
        wanted: The metrics by title; a single one that begins with "re:" is a pattern.
    """
    from wandb_workspaces.reports.v2 import LinePlot

    return [
        LinePlot(title=title, x=STEP, metric_regex=names[0][3:])
        if names[0].startswith("re:")
        else LinePlot(title=title, x=STEP, y=[*names])
        for title, names in wanted.items()
    ]


def chart(name: str, stage: str = "val") -> Any:
    """One of the custom charts that `wandb_charts` logs."""
    from wandb_workspaces.reports.v2 import CustomChart

    definition, fields = CHARTS[name]
    return CustomChart(
        query={"summaryTable": {"tableKey": f"{stage}/{name}_table"}},
        chart_name=definition,
        chart_fields=fields if isinstance(fields, dict) else {field: field for field in fields},
        chart_strings={"title": f"{name.replace('_', ' ')}, {stage}"},
    )


def sections(task: str) -> dict[str, list[Any]]:
    """The panels of a task's workspace by section."""
    from wandb_workspaces.reports.v2 import RunComparer, WeavePanelSummaryTable

    quality, mistakes = plots(QUALITY[task]), plots(MISTAKES[task])
    data: list[Any] = [RunComparer(diff_only="split")]
    if task == "classification":
        quality += [chart(name) for name in ("precision_recall", "roc", "reliability")]
        quality += [WeavePanelSummaryTable(table_name="val/by_class")]
        mistakes = [chart("confusion_matrix"), chart("confusion_matrix", "test"), *mistakes]
        mistakes += [WeavePanelSummaryTable(table_name="test/mistakes")]
        data = [chart("accuracy_by_length"), *data]
    else:
        mistakes += [WeavePanelSummaryTable(table_name="val/probes")]
        data = [chart("top1_by_frequency"), *data]
    speed, optimizer = plots(SPEED), plots(OPTIMIZER)
    return {"Quality": quality, "Mistakes": mistakes, "Speed": speed, "Optimizer": optimizer, "Data": data}


def workspace(entity: str, project: str, task: str) -> Any:
    """A task's workspace, not saved yet."""
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=entity,
        project=project,
        name=NAMES[task],
        sections=[
            ws.Section(name=name, panels=panels, is_open=name in ("Quality", "Mistakes"))
            for name, panels in sections(task).items()
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP),
        runset_settings=ws.RunsetSettings(filters=ws.And(ws.Tags().isin([task]))),
    )


def report(entity: str, project: str) -> Any:
    """The report that compares runs, not saved yet."""
    import wandb_workspaces.expr as expr
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [wr.P("Made by `python -m lightning_nlp.dashboard`, which overwrites it.")]
    for task, metrics in COMPARED.items():
        runset = wr.Runset(entity=entity, project=project, name=task, filters=expr.And(expr.Tags().isin([task])))
        bars: list[Any] = []
        for name in metrics:
            key = f"{name}.{BEST[name]}" if name in BEST else name
            bars.append(wr.BarPlot(title=f"{'Best ' if name in BEST else ''}{name}", metrics=[wr.SummaryMetric(key)]))
        parts: list[tuple[str, list[Any]]] = [
            ("Results", bars),
            ("Over the training", plots(QUALITY[task])),
            ("Speed", plots({name: SPEED[name] for name in ("Tokens a second", "Peak memory, GiB")})),
            ("What differs in their configurations", [wr.RunComparer(diff_only="split")]),
        ]
        blocks.append(wr.H1(NAMES[task].partition(": ")[2].capitalize()))
        for title, panels in parts:
            blocks += [wr.H2(title), wr.PanelGrid(runsets=[runset], panels=panels)]
    return wr.Report(entity=entity, project=project, title=REPORT, blocks=blocks, width="fluid")
