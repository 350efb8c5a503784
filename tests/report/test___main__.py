import pytest

from lightning_nlp.report.__main__ import main
from tests.report.test_page import Page


def test_one_run_gives_its_report_anew(cls_run, tmp_path, capsys):
    main([str(cls_run), "--output", str(tmp_path / "page.html")])
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").read_bytes() == (cls_run / "report.html").read_bytes()


def test_several_runs_are_compared(cls_run, mlm_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main([str(cls_run), str(mlm_run)])
    assert capsys.readouterr().out == "comparison.html\n"
    page = Page((tmp_path / "comparison.html").read_text(encoding="utf-8"))
    assert page.loads == []
    assert "quickstart/0 · quickstart_mlm/0" in page.text
    assert "model.n_layers" not in page.text.split("Curves")[0]  # the same in both


@pytest.mark.parametrize("runs", [["{run}", "{run}"], ["{run}", "--output", "{run}/data.json/page.html"]])
def test_a_mistake_is_one_error(runs, cls_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([name.format(run=cls_run) for name in runs])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
