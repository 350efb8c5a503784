import xml.etree.ElementTree as ET

import pytest

from lightning_nlp.report.drawing import MOST_POINTS, Bar, Dot, Line, plot, rows, thinned, ticks

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    return ET.fromstring(svg)


def texts(svg):
    return [element.text for element in parsed(svg).iter(f"{SVG}text")]


def test_a_chart_has_a_title_for_those_who_do_not_see_it():
    svg = parsed(plot("a-b", "<Loss>", "step", "loss", lines=[Line("x", [1, 2], [0.5, 0.25])]))
    assert svg.get("role") == "img"
    title = svg.find(f"{SVG}title")
    assert (title.text, title.get("id")) == ("<Loss>", svg.get("aria-labelledby"))


def test_curves_lie_within_the_axes_and_higher_values_are_higher():
    svg = parsed(plot("a", "a", "x", "y", lines=[Line("up", [0, 10], [0, 1]), Line("down", [0, 10], [1, 0])]))
    paths = [path.get("d") for path in svg.iter(f"{SVG}path") if "line" in path.get("class") and "L" in path.get("d")]
    (up, down) = ([[float(n) for n in point.split()] for point in path[1:].split("L")] for path in paths)
    assert up[0][1] > up[1][1]  # SVG counts downwards
    assert up[0][1] == down[1][1]
    assert down[0][1] == up[1][1]
    assert all(0 < x < 400 and 0 < y < 250 for x, y in up + down)


def test_two_curves_differ_by_more_than_colour_and_are_named():
    svg = plot("a", "a", "x", "y", lines=[Line("one", [0, 1], [0, 1]), Line("two & three", [0, 1], [1, 0])])
    dashes = {path.get("stroke-dasharray") for path in parsed(svg).iter(f"{SVG}path")} - {None}
    assert len(dashes) == 2
    assert {"one", "two & three"} <= set(texts(svg))


def test_bars_stand_on_zero():
    svg = parsed(plot("a", "a", "x", "y", bars=[Bar(0, 5, 4), Bar(5, 10, 2)]))
    tall, short = ((float(bar.get("y")), float(bar.get("height"))) for bar in svg.iter(f"{SVG}rect"))
    assert sum(tall) == pytest.approx(sum(short))
    assert tall[1] == pytest.approx(2 * short[1], abs=0.2)


@pytest.mark.parametrize("y", [[1.0], [0.0, 0.0], [-5.0, -5.0], [1e-5, 2e-5], [1e6, 3e6]])
def test_any_values_give_a_chart(y):
    svg = plot("a", "a", "x", "y", lines=[Line("a", list(range(len(y))), y)], dots=[Dot(0, 0, y[0], "diamond")])
    assert parsed(svg).tag == f"{SVG}svg"
    assert "nan" not in svg


def test_rows_are_as_long_as_their_shares():
    svg = parsed(rows("a", "a", [("half", 0.5, "50%"), ("all", 1.0, "100%"), ("none", 0.0, "0%")]))
    widths = {"bar": [], "ground": []}
    for rectangle in svg.iter(f"{SVG}rect"):
        widths[rectangle.get("class")].append(float(rectangle.get("width")))
    assert [bar / ground for bar, ground in zip(*widths.values(), strict=True)] == pytest.approx([0.5, 1, 0], abs=0.01)


def test_a_long_curve_keeps_its_ends_and_its_mean():
    x, y = list(range(10_001)), [float(i % 7) for i in range(10_001)]
    few_x, few_y = thinned(x, y)
    assert len(few_x) == len(few_y) <= MOST_POINTS
    assert (few_x[0], few_x[-1], few_y[0], few_y[-1]) == (0, 10_000, y[0], y[-1])
    assert sum(few_y) / len(few_y) == pytest.approx(3, abs=0.1)
    assert few_x == sorted(few_x)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0", "0.25", "0.50", "0.75", "1.00"]),
        (0, 1e-3, ["0", "2.5e-4", "5e-4", "7.5e-4", "1e-3"]),
        (0, 40_000, ["0", "10k", "20k", "30k", "40k"]),
        (-1, 1, ["-1.0", "-0.5", "0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert [text for _, text in ticks(low, high, most=5)] == expected
