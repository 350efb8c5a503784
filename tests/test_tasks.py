import pytest

from lightning_nlp.tasks import CLASSIFICATION, METRICS, TASKS, task_of_module, task_of_network


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_row_names_what_there_is(task):
    import transformers

    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel

    assert task.module in (SequenceClassifier.__name__, MaskedLanguageModel.__name__)
    assert hasattr(transformers, f"AutoModel{task.head}")
    assert task.pipeline_tag in transformers.pipelines.PIPELINE_REGISTRY.get_supported_tasks()
    names = {f"val/{metric.name}" for metric in task.metrics}
    assert {f"val/{name}" for name in task.headlines} <= names
    assert {name for _, _, metrics in task.curves for name in metrics} <= names
    assert all(METRICS[metric.name] == metric for metric in task.metrics)  # no two tasks mean different things by one


def test_a_class_tells_its_task_and_a_users_own_has_none():
    assert task_of_module("lightning_nlp.models.mlm.MaskedLanguageModel") is TASKS["mlm"]
    assert task_of_module("theirs.Model") is None
    assert task_of_network("ModernBertForMaskedLM") is TASKS["mlm"]
    assert task_of_network("Theirs") is CLASSIFICATION
