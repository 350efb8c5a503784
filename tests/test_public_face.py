"""What `import lightning_nlp` offers, and how little it loads."""

import subprocess
import sys

import pytest
import yaml

import lightning_nlp
from tests.conftest import invoke

IMPORT = """
import sys, time
start = time.perf_counter()
import lightning_nlp
seconds = time.perf_counter() - start
assert not {"torch", "lightning", "transformers", "numpy"} & set(sys.modules), sys.modules
print(seconds)
"""


def test_the_import_is_quick_and_loads_nothing_heavy():
    command = [sys.executable, "-c", IMPORT]
    times = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
    assert min(times) < 0.05


def test_all_that_is_offered_is_there():
    assert set(lightning_nlp.__all__) <= set(dir(lightning_nlp))
    for name in lightning_nlp.__all__:
        assert getattr(lightning_nlp, name).__name__ == name
    with pytest.raises(AttributeError, match=r"lightning_nlp.*Clasifier"):
        lightning_nlp.Clasifier  # noqa: B018


@pytest.mark.parametrize(("kind", "vocabulary"), [("wordpiece", 60), ("bpe", 300)])
def test_a_tokenizer_is_trained_by_one_function(kind, vocabulary):
    tokenizer = lightning_nlp.train_tokenizer(["La hundo ĝojas."] * 3, tokenizer_model=kind, vocab_size=vocabulary)
    assert tokenizer.decode(tokenizer("la hundo ĝojas.")["input_ids"], skip_special_tokens=True).split()[0] == "la"


def test_a_yaml_may_name_classes_by_their_modules(tmp_path):
    model = {"class_path": "lightning_nlp.models.mlm.MaskedLanguageModel"}
    data = {"class_path": "lightning_nlp.data.mlm.EsperantoDataModule"}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump({"model": model, "data": data}), encoding="utf-8")
    outcome = invoke("fit", "--config", tmp_path / "old.yaml", "--print_config")
    assert outcome.code == 0, outcome.err
    assert model["class_path"] in outcome.out
