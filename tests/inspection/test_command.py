import csv
import json

import pytest

from lightning_nlp.inspection.command import print_report
from tests.bad_input.check import check
from tests.conftest import files_below, invoke, write_reviews


def test_faults_give_exit_code_1_and_a_file_of_all_facts(tiny_cls, tmp_path, capsys):
    data, path = write_reviews(tmp_path / "reviews.csv"), tmp_path / "facts.json"
    _, first, second, third, *_ = csv.reader(data.read_text(encoding="utf-8").splitlines())
    other = {"neg": "pos", "pos": "neg"}[second[1]]
    with data.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([first, (second[0], other), (f"{third[0]} indeed", third[1])])
    outcome = invoke("inspect", *tiny_cls, "--data.path", data, "--json", path)
    assert outcome.code == 1, outcome.err
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert list(facts) == "tokens max_length counts raw conflicts baseline findings".split()
    assert (facts["counts"]["train"]["read"], facts["counts"]["train"]["repeats"]) == (63, 2)
    assert facts["raw"]["train"]["rows"] == 63
    (conflict,) = facts["conflicts"]
    assert sorted(conflict["labels"].split(", ")) == ["neg", "pos"]
    assert facts["baseline"]["texts"] == 61
    severities = [finding["severity"] for finding in facts["findings"]]
    assert severities == sorted(severities, key=["severe", "warning", "note"].index), "the worst first"
    assert "another label" in facts["findings"][0]["text"]
    printed = [f"{finding['severity']}: {finding['text']}" for finding in facts["findings"]]
    lines = outcome.out.splitlines()
    assert lines[-len(printed) - 1 :] == [*printed, "1 severe finding."]
    texts = facts["tokens"]["splits"]["test"]["texts"]
    at = lines.index("test, after cleaning:") + 1
    assert lines[at].startswith(f"  {texts} texts, ")
    assert lines[at + 2] == "  rows that are also in train: 0"
    assert "  markup before cleaning: none" in lines
    assert f"Two labels ({conflict['labels']}): {conflict['first']} = " in outcome.out
    assert f"The accuracy to beat: {facts['baseline']['accuracy']:.4f} ± " in outcome.out
    print_report(facts | {"baseline": {"skipped": "too few"}})
    assert "The accuracy to beat: left out, too few" in capsys.readouterr().out


def test_good_data_give_exit_code_0_and_only_the_cache(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = invoke("inspect", *tiny_cls)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "Nothing severe."
    assert files_below(tmp_path) == set()


def test_long_documents_of_a_language_model_are_split_and_not_cut(tiny_mlm):
    outcome = invoke("inspect", *tiny_mlm, "--data.max_length", "8")
    assert "more parts from texts beyond max_length 8" in outcome.out
    assert "accuracy to beat" not in outcome.out, "there are no labels"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data.label_column", "stars"], ["stars", "--data.label_column"]),
        (["--json", "no/such/folder/facts.json"], ["--json no/such/folder/facts.json"]),
        (["--json", "."], ["--json . cannot be written"]),
        (["--modle.lr", "1"], ["modle"]),
    ],
)
def test_mistakes_give_exit_code_2(arguments, words, tiny_cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = invoke("inspect", *tiny_cls, *arguments)
    check(outcome, *words)
    assert files_below(tmp_path) == set()


def test_nothing_to_inspect():
    check(invoke("inspect"), "`inspect` needs its", "give --config FILE, e.g. cls.yaml.")
