import xml.etree.ElementTree as ET

import pytest

from lightning_nlp.evaluation.drawing import MOST_POINTS, draw, ticks
from lightning_nlp.evaluation.figures import MOST_LINES, Bar, Dot, Figure, Line, Row

SVG = "{http://www.w3.org/2000/svg}"


def svg(alone=False, **parts):
    return ET.fromstring(draw(Figure("a", "Loss", "", "step", "loss", **parts), alone=alone))


def texts(picture):
    return [element.text for element in picture.iter(f"{SVG}text")]


def paths(picture):
    """The curves' points, of (x, y)."""
    found = [path.get("d")[1:] for path in picture.iter(f"{SVG}path") if path.get("class").startswith("line")]
    return [[tuple(map(float, point.split())) for point in path.split("L")] for path in found if "L" in path]


def test_curves_lie_within_the_axes_and_higher_values_are_higher():
    up, down = paths(svg(lines=[Line("up", [0, 10], [0, 1]), Line("down", [0, 10], [1, 0])]))
    assert up[0][1] == down[1][1] > up[1][1] == down[0][1]  # SVG counts downwards
    assert all(0 < x < 400 and 0 < y < 250 for x, y in up + down)


def test_curves_differ_by_more_than_colour_and_are_named_as_far_as_there_is_room():
    names = ["two & three", "很好" * 9, "three", "four", "five"]
    picture = svg(lines=[Line(name, [0, 1], [0, 1]) for name in names])
    assert len({path.get("stroke-dasharray") for path in picture.iter(f"{SVG}path")} - {None}) == MOST_LINES
    assert {"three", "four", "很好很…"} <= {*texts(picture)}  # those are wider than other letters
    assert "five" not in texts(picture)


def test_bars_stand_on_zero():
    tall, short = (
        (float(bar.get("y")), float(bar.get("height")))
        for bar in svg(bars=[Bar(0, 5, 4), Bar(5, 10, 2)]).iter(f"{SVG}rect")
    )
    assert sum(tall) == pytest.approx(sum(short))
    assert tall[1] == pytest.approx(2 * short[1], abs=0.2)


@pytest.mark.parametrize("y", [[1.0], [0.0, 0.0], [-5.0, -5.0], [1e-5, 2e-5], [1e6, 3e6]])
def test_any_values_give_a_chart(y):
    text = draw(Figure("a", "a", "", "x", "y", [Line("a", range(len(y)), y)], [Dot(0, 0, y[0], "diamond")]))
    assert ET.fromstring(text).tag == f"{SVG}svg"
    assert "nan" not in text


def test_rows_are_as_long_as_their_shares():
    picture = svg(rows=[Row("half", 0.5, "50%"), Row("all", 1.0, "100%"), Row("none", 0.0, "0%")])
    widths = {"bar": [], "ground": []}
    for rectangle in picture.iter(f"{SVG}rect"):
        widths[rectangle.get("class")].append(float(rectangle.get("width")))
    assert [bar / ground for bar, ground in zip(*widths.values(), strict=True)] == pytest.approx([0.5, 1, 0], abs=0.01)


def test_a_long_curve_is_drawn_as_the_means_of_its_parts():
    low, noisy = paths(svg(lines=[Line("low", [0, 10_000], [0, 0]), Line("noisy", range(10_001), [0, 2] * 5000 + [1])]))
    assert len(noisy) <= MOST_POINTS
    assert noisy == sorted(noisy, key=lambda point: point[0])
    assert {y < low[0][1] for _, y in noisy} == {True}


def test_a_file_of_its_own_brings_its_colours():
    picture = svg(alone=True, lines=[Line("a", [0, 1], [0, 1])])
    assert "--ink: #1d2129" in picture.find(f"{SVG}style").text
    assert picture.find(f"{SVG}rect").get("fill") == "#ffffff"
    assert svg(lines=[Line("a", [0, 1], [0, 1])]).find(f"{SVG}style") is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0", "0.25", "0.5", "0.75", "1"]),
        (0, 1e-4, ["0", "2.5e-5", "5e-5", "7.5e-5", "0.0001"]),
        (0, 40_000, ["0", "10k", "20k", "30k", "40k"]),
        (0, 1_000, ["0", "250", "500", "750", "1000"]),
        (-1, 1, ["-1", "-0.5", "0", "0.5", "1"]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert [text for _, text in ticks(low, high)] == expected
