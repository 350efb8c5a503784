import pytest

from lightning_nlp.models.module import EncoderModule
from lightning_nlp.tasks import CLASSIFICATION, METRICS, TASKS, task_of_module, task_of_network


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_row_names_what_there_is(task):
    import transformers

    import lightning_nlp

    assert issubclass(getattr(lightning_nlp, task.module), EncoderModule)
    assert hasattr(transformers, f"AutoModel{task.head}")
    assert task.pipeline_tag in transformers.pipelines.PIPELINE_REGISTRY.get_supported_tasks()
    names = {f"val/{metric.name}" for metric in task.metrics}
    assert {f"val/{name}" for name in task.headlines} <= names
    assert {name for _, _, metrics in task.curves for name in metrics} <= names
    assert all(METRICS[metric.name].better == metric.better for metric in task.metrics)  # for runs side by side
    assert all(task.metric(metric.name) == metric for metric in task.metrics)


def test_a_class_tells_its_task_and_a_users_own_has_none():
    assert task_of_module("lightning_nlp.models.mlm.MaskedLanguageModel") is TASKS["mlm"]
    assert task_of_module("theirs.Model") is None
    assert task_of_network("ModernBertForMaskedLM") is TASKS["mlm"]
    assert task_of_network("Theirs") is CLASSIFICATION
