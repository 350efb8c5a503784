import json
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import yaml

from lightning_nlp.report.page import MOST_WORDS, confused, headline, wilson, write_report
from lightning_nlp.report.run_files import read_run
from lightning_nlp.tasks import CLASSIFICATION

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)> & "quotes" \'s'
VOID = ("meta", "br", "img", "link", "input", "hr")


class Page(HTMLParser):
    """What a browser would see: elements, what they load, and whether all are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.loads, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def copy(cls_run, tmp_path):
    run = tmp_path / "cls" / "0"
    shutil.copytree(cls_run, run, ignore=shutil.ignore_patterns("checkpoints", "export"))
    return run


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_fit_ends_with_a_page_that_loads_nothing(task, request):
    text = (request.getfixturevalue(f"{task}_run") / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads == []
    assert not re.findall(r"@import|url\(", text)
    assert not [tag for tag, _ in page.found if tag in ("script", "link", "iframe", "img")]
    assert ("html", {"lang": "en"}) in page.found
    assert any(attrs.get("name") == "viewport" for _, attrs in page.found)
    names = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(set(names)) == len(names)
    figures = re.findall(r"<figure>(.*?)</figure>", text, re.DOTALL)
    assert len(figures) == text.count("<svg") >= 7
    for figure in figures:  # strict XML with a title, and beside it a sentence with numbers
        svg = ET.fromstring(figure[figure.index("<svg") : figure.index("</svg>") + 6])
        title = svg.find("{http://www.w3.org/2000/svg}title")
        assert (svg.get("role"), title.get("id")) == ("img", svg.get("aria-labelledby"))
        assert re.search(r"<figcaption>[^<]*\d[^<]*\.</figcaption>", figure)


def test_the_numbers_are_those_of_the_records(cls_run, mlm_run):
    run = read_run(cls_run)
    text = Page((cls_run / "report.html").read_text(encoding="utf-8")).text
    test = run.test
    assert f"{test['metrics']['accuracy']:.1%} accuracy" in text
    low, high = wilson(round(test["metrics"]["accuracy"] * test["examples"]), test["examples"])
    assert f"on {test['examples']} examples of the test split; 95% interval {low:.1%} to {high:.1%}" in text
    assert all(f"{value:.4f}" in text for value in test["metrics"].values())
    for part in test["by_class"]:
        assert (
            f"{part['label']} {part['support']} {part['precision']:.4f} {part['recall']:.4f} {part['f1']:.4f}" in text
        )
    assert f"training {run.facts['epochs']} epochs, {run.facts['steps']} steps time" in text
    assert run.command in text
    assert " ".join(run.config_text.split()) in text
    record = {"stage": "test", "metrics": {"accuracy": 0.5}, "confusion": [[3, 1], [6, 0]], "examples": 10}
    assert headline(run, record, CLASSIFICATION)["text"].endswith("; always the most frequent class: 60.0%")
    metrics, text = read_run(mlm_run).test["metrics"], Page((mlm_run / "report.html").read_text(encoding="utf-8")).text
    assert f"{metrics['top1']:.1%} top-1 accuracy on {read_run(mlm_run).test['masked_tokens']:,} masked tokens" in text
    assert f"perplexity {metrics['perplexity']:,.1f}" in text


def test_probes_are_a_table_over_time(mlm_run, tmp_path):
    run = tmp_path / "mlm" / "0"
    shutil.copytree(mlm_run, run, ignore=shutil.ignore_patterns("checkpoints", "export"))
    for path in (run / "evaluation").glob("*.json"):
        fillings = [[{"token": f"<b>{path.stem}", "probability": 0.25}]]
        change(path, probes=[{"text": "La [MASK] estas granda.", "fillings": fillings}])
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert text.count("La [MASK] estas granda.") == 1
    rows = "step 9 <b>val-00000009 0.25 step 18 <b>val-00000018 0.25 test <b>test 0.25"
    assert rows in text


def test_hostile_texts_are_text(copy):
    config = yaml.safe_load((copy / "config.yaml").read_text(encoding="utf-8"))
    config["name"] = HOSTILE
    (copy / "config.yaml").write_text(f"# python {HOSTILE}\n{yaml.safe_dump(config)}", encoding="utf-8")
    test = read_run(copy).test
    classes = [part | {"label": f"{HOSTILE}\x01 {i}"} for i, part in enumerate(test["by_class"])]
    wrong = {"row": 0, "text": HOSTILE, "label": HOSTILE, "prediction": HOSTILE, "probability": 0.9}
    wrong["words"] = [[word, 1.0] for word in HOSTILE.split()]
    labels = [part["label"] for part in classes]
    change(copy / "evaluation" / "test.json", by_class=classes, labels=labels, mistakes=[wrong])
    split = {"texts": 1, "tokens": 2, "cut": 0, "class_counts": [1, 0]}
    data = {"source": HOSTILE, "label_names": labels, "cleaning": [HOSTILE], "splits": {HOSTILE: split}}
    data["warnings"] = [{"severity": "severe", "text": HOSTILE}]
    (copy / "data.json").write_text(json.dumps(data), encoding="utf-8")
    text = write_report(copy).read_text(encoding="utf-8")
    page = Page(text)
    assert not [tag for tag, attrs in page.found if tag in ("script", "img") or "onerror" in attrs]
    assert page.loads == []
    assert page.text.count('<script>alert("1")</script>') > 8
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(svg)


def test_the_words_that_drove_a_mistake_are_marked_not_by_colour_alone_and_a_long_text_is_cut(copy):
    words = [["great", 1.0], ["not", -0.5], ["the", 0.02], *[["word", 0.0]] * MOST_WORDS]
    wrong = {"row": 0, "text": "", "label": "neg", "prediction": "pos", "probability": 0.9, "words": words}
    change(copy / "evaluation" / "test.json", mistakes=[wrong])
    text = write_report(copy).read_text(encoding="utf-8")
    assert '<mark class="for-4">great</mark> <mark class="against-2">not</mark> the word' in text
    assert re.search(r"mark\.for-4 {[^}]*underline solid", text)
    assert re.search(r"mark\.against-4 {[^}]*underline dotted", text)
    assert text.count("word ") == MOST_WORDS - 3
    assert " word …" in text


def test_the_confusion_matrix_has_counts_and_shares_of_the_rows_and_a_large_one_is_a_list(copy):
    change(copy / "evaluation" / "test.json", labels=["neg", "pos"], confusion=[[3, 1], [0, 0]])
    text = write_report(copy).read_text(encoding="utf-8")
    assert re.findall(r'<td class="shade-(\d)">(\d)<br><small>([\d.]+%)', text) == [
        *(("3", "3", "75.0%"), ("1", "1", "25.0%"), ("0", "0", "0.0%"), ("0", "0", "0.0%"))
    ]
    assert confused(list(zip("abc", ([9, 1, 0], [5, 9, 2], [0, 0, 9]), strict=True))) == [
        *(("b", "a", 5), ("b", "c", 2), ("a", "b", 1))
    ]
    labels = [str(i) for i in range(13)]
    counts = [[2 if i == j else 1 if (i, j) == (3, 4) else 0 for j in range(13)] for i in range(13)]
    change(copy / "evaluation" / "test.json", labels=labels, confusion=counts)
    assert (
        "13 classes; the pairs most often confused label prediction texts 3 4 1"
        in Page(write_report(copy).read_text(encoding="utf-8")).text
    )


def test_what_is_missing_is_said(copy):
    for name in ("metrics.csv", "facts.json", "data.json"):
        (copy / name).unlink(missing_ok=True)
    shutil.rmtree(copy / "evaluation")
    text = Page(write_report(copy).read_text(encoding="utf-8")).text
    for missing in ("Nothing has been measured yet.", "metrics.csv has no losses.", "This run has no data.json."):
        assert missing in text


@pytest.mark.parametrize(("hits", "number"), [(0, 10), (10, 10), (78, 100), (1, 2)])
def test_wilsons_interval_holds_the_share_and_stays_within_0_and_1(hits, number):
    low, high = wilson(hits, number)
    assert 0 <= low <= hits / number <= high <= 1
    # its ends are where the normal test of a share would just not reject
    for end in (low, high):
        if 0 < end < 1:
            assert abs(hits / number - end) == pytest.approx(1.959964 * (end * (1 - end) / number) ** 0.5)
