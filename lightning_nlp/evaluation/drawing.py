"""Figures as SVG in the colours of the page around them; importing matplotlib would take seconds."""

import math
from collections.abc import Sequence
from html import escape
from itertools import accumulate
from statistics import fmean
from unicodedata import east_asian_width

from lightning_nlp.evaluation.figures import MOST_LINES, Dot, Figure, Line, Row

WIDTH, HEIGHT = 400, 250  # about a phone's width: text of 12 px is readable on one
LETTER, WIDE_LETTER = 7.7, 12.5  # the width of most letters and digits in a wide font, and of Chinese ones
LINE = 15
MOST_POINTS = 300
ROW = 26
DASHES = ("", "7 3", "2 3", "9 3 2 3")  # for colour-blind readers
STYLE = """:root { --paper: #ffffff; --ink: #1d2129; --soft: #5b6472; --grid: #d9dde3; --panel: #f4f6f8;
  --series-0: #0b66b0; --series-1: #c2500a; --series-2: #157f5b; --series-3: #9a3a86; }
svg text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--grid); stroke-width: .8; fill: none; }
svg .axis { stroke: var(--soft); fill: none; }
svg .mark { stroke: var(--soft); stroke-dasharray: 4 4; fill: none; }
svg .line { stroke: var(--color); stroke-width: 1.8; stroke-linejoin: round; fill: none; }
svg .dot { stroke: var(--paper); stroke-width: 1; fill: var(--color); }
svg .bar { fill: var(--series-0); }
svg .ground { fill: var(--panel); }
""" + "".join(f".s{number} {{ --color: var(--series-{number}); }}\n" for number in range(MOST_LINES))


def draw(figure: Figure, *, alone: bool = False) -> str:
    """Draw a figure as an `<svg>` element in strict XML, for a page that includes `STYLE`.

    Args:
        alone: Make it a standalone file, on white: an image cannot know whether its page is dark.
    """
    height = 12 + ROW * len(figure.rows) if figure.rows else HEIGHT
    ground = f'<style>{STYLE}</style><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>' if alone else ""
    parts = _rows(figure.rows) if figure.rows else _plot(figure)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-labelledby="{figure.name}-title"><title id="{figure.name}-title">{_clean(figure.heading)}'
        f"</title>{ground}{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round values from `low` to `high`, at most five, each with its label."""
    size = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (size * factor) < 5)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(number * step, 12) for number in range(first, last + 1)]
    unit, letter = (1e6, "M") if step >= 1e6 else (1e3, "k") if step >= 1e3 else (1, "")
    return [(value, f"{value / unit:g}{letter if value else ''}".replace("e-0", "e-")) for value in values]


def _plot(figure: Figure) -> list[str]:
    lines = [Line(line.name, _thinned(line.x), _thinned(line.y)) for line in figure.lines[:MOST_LINES]]
    xs = [x for line in lines for x in line.x] + [x for bar in figure.bars for x in (bar.low, bar.high)]
    ys = [y for line in lines for y in line.y] + [y for bar in figure.bars for y in (bar.value, 0.0)]
    if not lines and figure.dots:
        xs = ys = [value for dot in figure.dots for value in (dot.x, dot.y)]
    (x_low, x_high), (y_low, y_high) = [(0.0, 1.0)] * 2 if figure.square else (_span(xs, 0.0), _span(ys, 0.05))
    if figure.diagonal:  # corner to corner is x = y only if the axes are equal
        x_low, x_high = y_low, y_high
    y_ticks = ticks(y_low, y_high)
    left = 14 + LINE + max(len(text) for _, text in y_ticks) * LETTER
    top, right, bottom = (40.0 if len(lines) > 1 else 20.0), WIDTH - 20.0, HEIGHT - 42.0

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return round(left + across * (right - left), 1), round(bottom - up * (bottom - top), 1)

    parts = []
    for value, text in y_ticks:
        _, y = at(x_low, value)
        parts += [f'<path class="grid" d="M{left:.1f} {y}H{right}"/>', _text(left - 6, y + 4, text, "end")]
    for value, text in ticks(x_low, x_high):
        x, _ = at(value, y_low)
        parts += [f'<path class="axis" d="M{x} {bottom}v4"/>', _text(x, bottom + 18, text, "middle")]
    for bar in figure.bars:
        (x, y), (end, _) = at(bar.low, bar.value), at(bar.high, 0.0)
        parts.append(_rectangle("bar", x + 0.5, y, max(end - x - 1, 0.5), bottom - y))
    if figure.diagonal:
        parts.append(f'<path class="mark" d="M{left:.1f} {bottom}L{right} {top}"/>')
    parts.append(f'<path class="axis" d="M{left:.1f} {bottom}H{right}"/>')
    if figure.best is not None:
        x, _ = at(figure.best, y_low)
        parts += [f'<path class="mark" d="M{x} {top}V{bottom}"/>', _text(x, top - 3, "best", "middle")]
    for number, line in enumerate(lines):
        parts.append(_line(number, "L".join(f"{x} {y}" for x, y in map(at, line.x, line.y))))
        if len(line.x) <= 12:
            parts += [_dot(Dot(number, x, y, size=2.6), *at(x, y)) for x, y in zip(line.x, line.y, strict=True)]
    parts += [_dot(dot, *at(dot.x, dot.y)) for dot in figure.dots if dot.series < MOST_LINES]
    parts.append(_text((left + right) / 2, HEIGHT - 6, figure.across, "middle"))
    middle = (top + bottom) / 2
    parts.append(f'<g transform="rotate(-90 14 {middle})">{_text(14, middle, figure.up, "middle")}</g>')
    return parts + (_key([line.name for line in lines], left) if len(lines) > 1 else [])


def _rows(rows: Sequence[Row]) -> list[str]:
    left = 10 + max(len(row.name) for row in rows) * LETTER
    right = WIDTH - 10 - max(len(row.note) for row in rows) * LETTER
    parts = []
    for y, row in zip(range(6, 6 + ROW * len(rows), ROW), rows, strict=True):
        parts += [_text(left - 6, y + 16, row.name, "end"), _text(right + 6, y + 16, row.note, "start")]
        parts.append(_rectangle("ground", left, y + 3, right - left, ROW - 8))
        parts.append(_rectangle("bar", left, y + 3, row.share * (right - left), ROW - 8))
    return parts


def _thinned(values: Sequence[float]) -> list[float]:
    size = math.ceil(len(values) / MOST_POINTS)
    return [fmean(values[i : i + size]) for i in range(0, len(values), size)]


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    """The range of an axis: never empty, and below 0 only if a value is."""
    low, high = min(values), max(values)
    margin = margin * (high - low) if high > low else 0.1 * max(abs(low), 1e-9)
    return (low - margin if low < 0 else max(low - margin, 0.0)), high + margin


def _key(names: Sequence[str], left: float) -> list[str]:
    room = (WIDTH - left) / len(names)
    parts = []
    for number, name in enumerate(names):
        x = left + number * room
        widths = [WIDE_LETTER if east_asian_width(letter) in "FW" else LETTER for letter in name]
        kept = sum(total + LETTER <= room - 34 for total in accumulate(widths))
        label = name if sum(widths) <= room - 34 else name[:kept] + "…"
        parts += [_line(number, f"{x:.1f} 14h22"), _text(x + 28, 18, label, "start")]
    return parts


def _line(number: int, path: str) -> str:
    return f'<path class="line s{number}" stroke-dasharray="{DASHES[number]}" d="M{path}"/>'


def _dot(dot: Dot, x: float, y: float) -> str:
    if dot.shape == "circle":
        return f'<circle class="dot s{dot.series}" cx="{x}" cy="{y}" r="{dot.size:.1f}"/>'
    r = dot.size + 1
    return f'<path class="dot s{dot.series}" d="M{x} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"/>'


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_clean(text)}</text>'


def _clean(text: str) -> str:
    """Escape for XML, and drop control characters, which it does not allow."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))
