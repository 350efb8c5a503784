"""Charts as inline SVG that take the page's colours, light or dark: lines, dots and bars on axes, and bars in rows.

matplotlib would take seconds, and leave a cache of fonts in the home folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 400, 250  # about a phone's width: letters of 12 are readable on one
LETTER = 7.7  # the width of most letters and digits in a wide face
LINE = 15
MOST_POINTS = 300
ROW = 26
STYLES = ("", "7 3", "2 3", "9 3 2 3")  # for those who see no colours


class Line(NamedTuple):
    """A curve with its name."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Dot(NamedTuple):
    """A marked point of the curve with this number."""

    series: int
    x: float
    y: float
    shape: str = "circle"  # or diamond


class Bar(NamedTuple):
    """A bar from one x to another."""

    low: float
    high: float
    value: float


def plot(
    name: str,
    title: str,
    across: str,
    up: str,
    *,
    lines: Sequence[Line] = (),
    dots: Sequence[Dot] = (),
    bars: Sequence[Bar] = (),
    mark: tuple[float, str] | None = None,
    square: bool = False,
    diagonal: bool = False,
) -> str:
    """Draw on axes.

    Args:
        name: Of letters and dashes, different for each chart of a page.
        title: What the chart shows, for those who do not see it.
        across: What x is.
        up: What y is.
        lines: Curves, at most four.
        dots: Points to mark.
        bars: Bars, which stand on 0.
        mark: An x to mark, with its name.
        square: Whether both axes go from 0 to 1.
        diagonal: Whether to draw where x equals y.

    Returns:
        An `<svg>` element as wide as what it stands in.
    """
    lines = [Line(line.name, *thinned(line.x, line.y)) for line in lines]
    xs = [x for line in lines for x in line.x] + [x for bar in bars for x in (bar.low, bar.high)]
    ys = [y for line in lines for y in line.y] + ([bar.value for bar in bars] + [0.0] if bars else [])
    x_range, y_range = ((0.0, 1.0), (0.0, 1.0)) if square else (_span(xs, 0.0), _span(ys, 0.0 if bars else 0.05))
    x_ticks, y_ticks = ticks(*x_range, most=5), ticks(*y_range, most=5)
    key = len(lines) > 1
    left = 14 + LINE + max(len(text) for _, text in y_ticks) * LETTER
    top, right, bottom = (34.0 if key else 20.0), WIDTH - 14.0, HEIGHT - 42.0

    def at(x: float, y: float) -> tuple[float, float]:
        across_ = left + (x - x_range[0]) / (x_range[1] - x_range[0]) * (right - left)
        return round(across_, 1), round(bottom - (y - y_range[0]) / (y_range[1] - y_range[0]) * (bottom - top), 1)

    parts = []
    for value, text in y_ticks:
        _, y = at(x_range[0], value)
        parts.append(f'<path class="grid" d="M{left:.1f} {y}H{right}"/>')
        parts.append(_text(left - 6, y + 4, text, "end"))
    for value, text in x_ticks:
        x, _ = at(value, y_range[0])
        parts.append(f'<path class="axis" d="M{x} {bottom}v4"/>')
        # a label in the middle of the last tick would stand out of the picture
        anchor = "end" if x + len(text) * LETTER / 2 > WIDTH else "middle"
        parts.append(_text(x if anchor == "middle" else WIDTH - 1, bottom + 18, text, anchor))
    for bar in bars:
        (x, y), (end, _) = at(bar.low, bar.value), at(bar.high, 0.0)
        parts.append(_rectangle("bar", x + 0.5, y, max(end - x - 1, 0.5), bottom - y))
    if diagonal:
        (x, y), (end, low) = at(x_range[0], y_range[1]), at(x_range[1], y_range[0])
        parts.append(f'<path class="mark" d="M{x} {low}L{end} {y}"/>')
    parts.append(f'<path class="axis" d="M{left:.1f} {bottom}H{right}"/>')
    if mark is not None:
        x, _ = at(mark[0], y_range[0])
        parts.append(f'<path class="mark" d="M{x} {top}V{bottom}"/>')
        parts.append(_text(x - 5 if x > WIDTH / 2 else x + 5, top + 3, mark[1], "end" if x > WIDTH / 2 else "start"))
    for number, line in enumerate(lines):
        points = [at(x, y) for x, y in zip(line.x, line.y, strict=True)]
        path = "L".join(f"{x} {y}" for x, y in points)
        parts.append(f'<path class="line s{number}" stroke-dasharray="{STYLES[number]}" d="M{path}"/>')
        if len(points) <= 12:
            parts += [_shape(number, x, y, "circle", 2.6) for x, y in points]
    parts += [_shape(dot.series, *at(dot.x, dot.y), dot.shape, 5) for dot in dots]
    parts.append(_text((left + right) / 2, HEIGHT - 6, across, "middle"))
    middle = round((top + bottom) / 2, 1)
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(up)}</text>'
    )
    return _svg(name, title, HEIGHT, parts + (_key([line.name for line in lines], left) if key else []))


def rows(name: str, title: str, named: Sequence[tuple[str, float, str]]) -> str:
    """Draw shares as bars, a row for each.

    Args:
        name: Of letters and dashes, different for each chart of a page.
        title: What the chart shows.
        named: Of each bar its name, its share from 0 to 1, and what stands beside it.

    Returns:
        An `<svg>` element as wide as what it stands in.
    """
    left = 10 + max((len(label) for label, _, _ in named), default=0) * LETTER
    right = WIDTH - 10 - max((len(note) for _, _, note in named), default=0) * LETTER
    parts = []
    for number, (label, share, note) in enumerate(named):
        y = 6 + number * ROW
        width = max(0.0, share) * (right - left)
        parts.append(_text(left - 6, y + 16, label, "end"))
        parts.append(_rectangle("ground", left, y + 3, right - left, ROW - 8))
        parts.append(_rectangle("bar", left, y + 3, width, ROW - 8))
        parts.append(_text(right + 6, y + 16, note, "start"))
    return _svg(name, title, 12 + ROW * len(named), parts)


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """A long curve as the means of its parts: no screen shows more.

    Args:
        x: (n,).
        y: (n,).

    Returns:
        At most `MOST_POINTS` points, with the first and the last as they are.
    """
    if len(x) <= MOST_POINTS:
        return list(x), list(y)
    size = math.ceil((len(x) - 2) / (MOST_POINTS - 2))
    parts = [slice(0, 1), *(slice(i, min(i + size, len(x) - 1)) for i in range(1, len(x) - 1, size)), slice(-1, None)]
    return [sum(x[part]) / len(x[part]) for part in parts], [sum(y[part]) / len(y[part]) for part in parts]


def ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Round values from `low` to `high`, at most `most`, each with its text."""
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (size * factor) < most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(number * step, 12) for number in range(first, last + 1)]
    return [(value, _short(value, step, max(abs(low), abs(high)))) for value in values]


def _short(value: float, step: float, largest: float) -> str:
    if value == 0:
        return "0"
    if largest < 1e-2 or largest >= 1e9:
        digits, power = f"{value:.1e}".split("e")
        return f"{digits.removesuffix('.0')}e{int(power)}"
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if step >= unit / 10 and abs(value) >= unit:
            return f"{value / unit:g}{letter}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    decimals += f"{step:.1e}".startswith("2.5") and step < 10
    return f"{value:,.{decimals}f}"


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    """From the least to the greatest, with a margin; never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low == high:
        return low - max(abs(low), 1e-9) * 0.1, high + max(abs(high), 1e-9) * 0.1
    return low - margin * (high - low), high + margin * (high - low)


def _key(names: Sequence[str], left: float) -> list[str]:
    """The lines' names in a row above the axes; those that have no place are cut."""
    room = (WIDTH - left) / len(names)
    parts = []
    for number, name in enumerate(names):
        x = left + number * room
        letters = max(int((room - 34) / LETTER), 3)
        text = name if len(name) <= letters else f"{name[: letters - 1]}…"
        parts.append(f'<path class="line s{number}" stroke-dasharray="{STYLES[number]}" d="M{x:.1f} 14h22"/>')
        parts.append(_text(x + 28, 18, text, "start"))
    return parts


def _shape(series: int, x: float, y: float, shape: str, size: float) -> str:
    if shape == "circle":
        return f'<circle class="dot s{series}" cx="{x}" cy="{y}" r="{size}"/>'
    r = size + 1
    return f'<path class="dot s{series}" d="M{x} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"/>'


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(name: str, title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>{"".join(parts)}</svg>'
    )
