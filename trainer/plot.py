"""The loss curve as an SVG file, written by hand.

Why not a plotting library: the curve needs two lines, two axes and a legend, and every library is larger than the rest
of what the trainer installs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 50
COLORS = ("#4878a8", "#c44e52", "#6a9a58", "#8a6fae")


def render_curves(title: str, x_label: str, y_label: str, curves: Mapping[str, Points]) -> str:
    """Named lines over a shared pair of axes; points that are not finite are left out. ValueError without any point."""
    shown = {name: [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])] for name, points in curves.items()}
    every = [point for points in shown.values() for point in points]
    if not every:
        raise ValueError(f"{title}: nothing to plot")
    x_range, y_range = (_padded([p[axis] for p in every]) for axis in (0, 1))
    body = [_text(WIDTH / 2, 22, title, size=15), _text(WIDTH / 2, HEIGHT - 10, x_label), _y_label(y_label)]
    body += [_x_tick(value, x_range) for value in ticks(*x_range)]
    body += [_y_tick(value, y_range) for value in ticks(*y_range)]
    for index, (name, points) in enumerate(shown.items()):
        body += _curve(name, points, index, x_range, y_range)
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {style}>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def write_curves(path: Path, title: str, x_label: str, y_label: str, curves: Mapping[str, Points]) -> None:
    """Write `render_curves` to a file."""
    path.write_text(render_curves(title, x_label, y_label, curves), encoding="utf-8")


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) inside a range."""
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _padded(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.03 * (high - low) or 0.5
    return low - pad, high + pad


def _x(value: float, x_range: tuple[float, float]) -> float:
    return LEFT + (value - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - LEFT - RIGHT)


def _y(value: float, y_range: tuple[float, float]) -> float:
    return HEIGHT - BOTTOM - (value - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _y_label(text: str) -> str:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return f'<text transform="translate(15 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(text)}</text>'


def _x_tick(value: float, x_range: tuple[float, float]) -> str:
    x = _x(value, x_range)
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>'
    return line + _text(x, HEIGHT - BOTTOM + 18, f"{value:g}")


def _y_tick(value: float, y_range: tuple[float, float]) -> str:
    y = _y(value, y_range)
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
    return line + _text(LEFT - 8, y + 4, f"{value:g}", anchor="end")


def _curve(name: str, points: Points, index: int, x_range: tuple[float, float], y_range: tuple[float, float]) -> list[str]:
    color = COLORS[index % len(COLORS)]
    path = " ".join(f"{_x(x, x_range):.1f},{_y(y, y_range):.1f}" for x, y in points)
    y = TOP + 14 + 16 * index
    legend_x = WIDTH - RIGHT - 130
    return [
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>',
        f'<line x1="{legend_x}" x2="{legend_x + 22}" y1="{y - 4}" y2="{y - 4}" stroke="{color}" stroke-width="2"/>',
        _text(legend_x + 28, y, name, anchor="start"),
    ]
