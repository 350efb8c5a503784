"""`inspect` as its users have it: planted faults, counted independently; exit codes 0, 1 and 2."""

import csv
import json
import random
import re
from collections import Counter

import pytest

from tests.conftest import BAD, GOOD, NOUNS, files_below, invoke

WRONG = range(0, 40, 10)
LONG = ["--data.max_length", "128", "--steps", "0"]


def review(rng, number, label):
    words = GOOD if label == "pos" else BAD
    parts = [f"the {rng.choice(NOUNS)} was {rng.choice(words)}" for _ in range(6)]
    return f"film {number}: {', and '.join(parts)}"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder with train and test, as lists of rows too."""
    rng = random.Random(0)
    labels = ["neg", "pos"]
    train = [(review(rng, n, labels[n % 2]), labels[(n + (n in WRONG)) % 2]) for n in range(200)]
    test = [(review(rng, 1000 + n, labels[n % 2]), labels[n % 2]) for n in range(40)]
    train += train[100:103]  # repeats
    train += [(train[n][0], {"neg": "pos", "pos": "neg"}[train[n][1]]) for n in (110, 111)]  # conflicts
    train += [
        test[0],
        (test[1][0].replace(", and ", "  <br /> and "), test[1][1]),
        test[2],
    ]  # equal, nearly equal, equal
    train += [(f"{train[n][0]} indeed", train[n][1]) for n in (120, 121, 122)]  # almost the same
    train += [(f"<div class='x'>{review(rng, 2000 + n, 'neg')}</div>", "neg") for n in range(4)]
    train += [("<br /><br>", "neg")]
    german = "Dieser Film erzählt eine lange Geschichte von zwei Brüdern und ihrem alten Haus, Teil"
    train += [(f"{german} {n}", "pos") for n in range(6)]
    folder = tmp_path_factory.mktemp("planted")
    for name, rows in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder, train, test


@pytest.fixture(scope="module")
def found(planted, tiny_cls, tmp_path_factory):
    path = tmp_path_factory.mktemp("found") / "facts.json"
    outcome = invoke("inspect", *tiny_cls, "--data.path", planted[0], *LONG, "--json", path)
    return outcome, json.loads(path.read_text(encoding="utf-8"))


def cleaned(rows):
    """As cleaning does, independently."""
    texts = [re.sub(r"\s*<br ?/?>\s*", "\n", text) for text, _ in rows]
    return [re.sub("[ \t]+", " ", text).strip() for text in texts]


def test_sizes_labels_and_words(found, planted):
    for split, rows in zip(("train", "test"), planted[1:], strict=True):
        raw = found[1]["raw"][split]
        assert raw["rows"] == len(rows)
        assert raw["labels"] == Counter(label for _, label in rows)
        assert raw["words"]["all"] == sum(len(text.split()) for text in cleaned(rows))
        assert raw["characters"] == sum(len(text) for text, _ in rows if not re.fullmatch("(<br ?/?>)+", text))
    assert found[1]["raw"]["train"]["empty"] == 1


def test_duplicates_leaks_and_conflicts(found, planted):
    train, test = (list(filter(None, cleaned(rows))) for rows in planted[1:])
    exact, splits = found[1]["duplicates"], found[1]["tokens"]["splits"]
    assert exact["repeats"] == {"train": len(train) - len(set(train)), "test": 0} == {"train": 5, "test": 0}
    shared = set(train) & set(test)
    assert exact["shared_texts"] == {"train and test": len(shared)} == {"train and test": 2}
    labels = {}
    for text, (_, label) in zip(cleaned(planted[1]), planted[1], strict=True):
        labels.setdefault(text, set()).add(label)
    assert exact["conflicts"]["texts"] == sum(len(names) > 1 for names in labels.values()) == 2
    assert exact["conflicts"]["rows"] == 4
    # what cleaning did about it
    assert "2 that stand in test dropped, 5 repeats (2 with another label) dropped" in " ".join(
        found[1]["tokens"]["cleaning"]
    )
    assert splits["test"]["copies_of_train"] == splits["validation"]["copies_of_train"] == 0


def test_almost_equal_texts(found):
    near = found[1]["near_duplicates"]
    assert near["repeats"] == {"train": 3 + 5, "test": 0}  # the German ones differ in their last word too
    assert near["shared_texts"] == {"train and test": 1}  # the leak that differs in its commas


def test_markup_and_languages(found):
    raw, language = found[1]["raw"]["train"], found[1]["language"]["train"]
    assert (raw["markup"]["tags"], raw["markup_left"]["tags"]) == (4, 4)
    assert (raw["markup"]["line breaks"], raw["markup_left"]["line breaks"]) == (2, 0)
    assert (language["language"], language["other_languages"]) == ("en", {"de": 6})


def test_wrong_labels(found):
    baseline = found[1]["baseline"]
    lines = {int(example["where"].split("line ")[1]) - 2 for example in baseline["examples"]}
    assert len(lines & set(WRONG)) >= len(WRONG) - 1
    assert lines <= set(WRONG), "no right label is suspected"
    assert baseline["accuracy"] > 0.9


def test_the_verdict_and_exit_code_1(found):
    outcome, facts = found
    assert outcome.code == 1, outcome.err
    severe = [finding["text"] for finding in facts["findings"] if finding["severity"] == "severe"]
    assert any("different labels" in text for text in severe)
    for finding in facts["findings"]:
        assert f"{finding['severity']}: {finding['text']}" in outcome.out.splitlines()
    assert outcome.out.splitlines()[-1].startswith(f"{len(severe)} severe finding")


def test_leaks_that_cleaning_leaves_are_severe(planted, tiny_cls):
    outcome = invoke("inspect", *tiny_cls, "--data.path", planted[0], "--data.deduplicate", "false", *LONG)
    assert outcome.code == 1
    # one or both, as they are held out for validation or not
    assert re.search(r"severe: [12] of 40 test rows .* stand in train: --data.deduplicate true", outcome.out)


def test_good_data_give_exit_code_0_and_only_the_cache(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = invoke("inspect", *tiny_cls, "--steps", "0")
    assert outcome.code == 0, outcome.err
    assert files_below(tmp_path) == set()


def test_sentences_without_labels(tiny_mlm):
    outcome = invoke("inspect", *tiny_mlm, "--steps", "0")
    assert outcome.code == 0, outcome.err
    assert "eo, of" in outcome.out
    assert "accuracy to beat" not in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data.label_column", "stars"], ["stars", "--data.label_column"]),
        (["--json", "no/such/folder/facts.json"], ["--json no/such/folder/facts.json"]),
        (["--json", "."], ["--json . cannot be written"]),
        (["--steps", "-1"], ["--steps must be at least 0"]),
        (["--model.n_layers", "0"], ["n_layers"]),
        (["--modle.lr", "1"], ["modle"]),
    ],
)
def test_mistakes_give_exit_code_2(arguments, words, tiny_cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = invoke("inspect", *tiny_cls, *arguments)
    assert outcome.code == 2, outcome.out
    message = outcome.err.splitlines()[-1]
    assert message.startswith("error: ")
    assert all(word in message for word in words)
    assert files_below(tmp_path) == set()


def test_nothing_to_inspect():
    outcome = invoke("inspect")
    assert outcome.code == 2
    assert outcome.err.startswith("error: `inspect` needs to know its")
    assert "give --config FILE, such as configs/cls.yaml." in outcome.err
