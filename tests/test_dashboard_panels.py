"""The panels show what a training logs, by the names under which it does."""

import re

import pytest

pytest.importorskip("wandb_workspaces")

from lightning_nlp.dashboard_panels import (
    BEST,
    CHARTS,
    COMPARED,
    MISTAKES,
    OPTIMIZER,
    QUALITY,
    SPEED,
    workspace,
)
from lightning_nlp.wandb_charts import charts, figures
from tests.conftest import cls_record, mlm_record, read_metrics


@pytest.mark.parametrize(("task", "record"), [("classification", cls_record), ("mlm", mlm_record)])
def test_what_is_shown_is_logged(task, record, cls_run, mlm_run):
    logged = set(read_metrics(cls_run if task == "classification" else mlm_run)[0])
    logged |= set(figures(record(1)))
    shown = [
        name for part in (QUALITY[task], MISTAKES[task], SPEED, OPTIMIZER) for names in part.values() for name in names
    ]
    shown += COMPARED[task]
    may_lack = {"perf/packing_efficiency"}  # only with data.tokens_per_batch
    for name in shown:
        pattern = name.removeprefix("re:") if name.startswith("re:") else re.escape(name)
        assert name in may_lack or any(re.fullmatch(pattern, one) for one in logged), name
    assert {name for name in BEST if name in COMPARED[task]} == {name for name in COMPARED[task] if name[:3] == "val"}


def test_the_charts_are_those_of_the_records():
    made = {**charts(cls_record(1)), **charts(mlm_record(1))}
    for name, (definition, fields) in CHARTS.items():
        chart = made[f"val/{name}"]
        assert chart.spec.spec_name == definition
        assert chart.spec.fields == (fields if isinstance(fields, dict) else {field: field for field in fields})
        assert set(chart.spec.fields.values()) <= set(chart.table.columns)


def test_each_task_sees_its_own_runs():
    for task in ("classification", "mlm"):
        spec = workspace("e", "p", task)._to_model().spec.model_dump_json(by_alias=True)
        assert f'"{task}"' in spec
        assert '"xAxis":"trainer/global_step"' in spec
