"""A parsed configuration before anything is made of it."""

import pytest
from jsonargparse import Namespace

from lightning_nlp.errors import UserError
from lightning_nlp.settings import VALIDATION_METRICS, check_settings
from tests.conftest import read_metrics


def settings(model: str = "SequenceClassifier", **changes: object) -> Namespace:
    values: dict[str, object] = {"monitor": "val/accuracy", "mode": "max"}
    values |= {"accumulate_grad_batches": 1, "limit_train_batches": None, **changes}
    choice = Namespace(monitor=values["monitor"], mode=values["mode"])
    return Namespace(
        model=Namespace(class_path=f"somewhere.{model}"),
        early_stopping=choice,
        checkpoint=choice,
        trainer=Namespace({name: values[name] for name in values if name not in ("monitor", "mode")}),
    )


def test_good_settings_pass():
    check_settings(settings())
    check_settings(settings(monitor=None))
    check_settings(settings("MaskedLanguageModel", monitor="val/loss", mode="min"))
    check_settings(settings("OneOfMyOwn", monitor="val/rouge"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitor": "val/acc"}, "give --early_stopping.monitor one of val/loss, val/accuracy"),
        ({"mode": "min"}, "would choose the worst val/accuracy: give --early_stopping.mode max"),
        ({"monitor": "val/loss"}, "would choose the worst val/loss: give --early_stopping.mode min"),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be at least 1, not 0"),
        ({"limit_train_batches": 0}, "--trainer.limit_train_batches 0 leaves nothing"),
    ],
)
def test_senseless_settings(changes, message):
    with pytest.raises(UserError) as error:
        check_settings(settings(**changes))
    assert message in str(error.value)


@pytest.mark.parametrize(("task", "name"), [("cls", "SequenceClassifier"), ("mlm", "MaskedLanguageModel")])
def test_the_known_metrics_are_those_that_are_logged(task, name, request):
    columns = read_metrics(request.getfixturevalue(f"{task}_run"))[0]
    assert {key for key in columns if key.startswith("val/")} == set(VALIDATION_METRICS[name])


@pytest.mark.parametrize("name", ["max_epochs", "max_steps"])
def test_a_training_without_a_step_is_no_result(name):
    with pytest.raises(UserError, match=f"--trainer.{name} 0 trains nothing"):
        check_settings(settings(**{name: 0}))
    check_settings(settings(**{name: -1}))  # without end
