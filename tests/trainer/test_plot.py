"""The loss curve is a well-formed SVG of the given points."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from trainer.plot import render_curves, ticks

SVG = "{http://www.w3.org/2000/svg}"


def test_each_curve_is_a_line_through_its_points():
    curves = {"train": [(0, 3.0), (10, 2.0), (20, 1.5)], "val <&>": [(0, 3.1), (20, 1.6)]}
    root = ET.fromstring(render_curves("loss", "step", "nats", curves))
    lines = [line.get("points").split() for line in root.iter(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [3, 2]
    xs, ys = zip(*(map(float, point.split(",")) for point in lines[0]), strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys), "a falling loss goes down, to larger y"
    assert "val <&>" in [text.text for text in root.iter(f"{SVG}text")]


def test_a_single_point_and_infinities_can_be_drawn():
    ET.fromstring(render_curves("t", "x", "y", {"a": [(1, 2.0), (2, math.inf), (3, math.nan)]}))


def test_nothing_to_plot_is_an_error():
    with pytest.raises(ValueError, match="nothing to plot"):
        render_curves("t", "x", "y", {"a": [(1, math.nan)]})


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.3, 1.31), (-5.0, 20_000.0), (0.0, 7e-5)])
def test_ticks_are_few_and_inside(low, high):
    values = ticks(low, high)
    assert 2 <= len(values) <= 10
    assert all(low <= value <= high for value in values)
