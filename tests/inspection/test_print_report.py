import json

from lightning_nlp.inspection.print_report import print_report
from tests.conftest import invoke


def test_the_printed_lines_are_the_facts_of_the_file(tiny_cls, tmp_path, capsys):
    path = tmp_path / "facts.json"
    outcome = invoke("inspect", *tiny_cls, "--json", path)
    assert outcome.code == 0, outcome.err
    report = json.loads(path.read_text(encoding="utf-8"))
    lines = outcome.out.splitlines()
    assert lines[:2] == ["Data: reviews.csv", f"  {report['tokens']['cleaning'][0]}"]
    part, classes = report["tokens"]["splits"]["test"], report["tokens"]["splits"]["test"]["class_counts"]
    shares = ", ".join(f"{n} {k} ({k / part['texts']:.1%})" for n, k in zip(["neg", "pos"], classes, strict=True))
    mean = f"{part['tokens'] / part['texts']:.1f} a text, 0.0% cut at max_length {report['max_length']}"
    for line in (
        f"test: {shares}",
        f"test, after cleaning: {part['tokens']} tokens, {mean}",
        "train: none",  # markup
        f"always the most frequent label: {report['baseline']['majority']:.4f}",
    ):
        assert f"  {line}" in lines
    assert lines[-1] == "Nothing severe."

    report["conflicts"] = [{"first": "a, line 1", "again": "b, line 2", "labels": "x, y", "text": "good film"}]
    report |= {"baseline": {"skipped": "too few"}, "findings": [{"severity": "severe", "text": "Bad."}]}
    print_report(report)
    lines = capsys.readouterr().out.splitlines()
    assert "  two labels (x, y): a, line 1 = b, line 2: good film" in lines
    assert "  left out: too few" in lines
    assert lines[-2:] == ["severe: Bad.", "1 severe finding."]


def test_long_documents_of_a_language_model_are_split_and_not_cut(tiny_mlm):
    outcome = invoke("inspect", *tiny_mlm, "--data.max_length", "8")
    assert "parts more of texts beyond max_length 8" in outcome.out
    assert "accuracy to beat" not in outcome.out, "there are no labels"
