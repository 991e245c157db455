"""Plots are SVG that browsers read, in the page's colours, and a name has one colour everywhere."""

import xml.etree.ElementTree as ET

from segmend.report import plots
from segmend.report.page import INK

NAMES = ["plain", "with $money$ & <tags>"]
LINES = {"skin": {name: ([1, 2, 3], [0.5, 0.6, 0.7 + i / 10]) for i, name in enumerate(NAMES)}}


def words(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_lines_name_their_arms_once() -> None:
    svg = plots.lines(LINES | {"head": {NAMES[0]: ([1, 3], [0.2, 0.4])}}, NAMES, across="Clicks")

    found = words(svg)
    assert found.count(NAMES[0]) == 1
    assert found.count(NAMES[1]) == 1
    assert {"skin", "head", "Clicks", "Dice"} <= set(found)


def test_a_name_has_one_colour_in_every_plot() -> None:
    colour = plots.colours(NAMES)

    drawn = [
        plots.lines(LINES, NAMES, across="Clicks"),
        plots.boxes({"skin": {name: [0.4, 0.5, 0.9] for name in NAMES}}, NAMES),
        plots.scatter({"a": {name: ([0.1, 0.5], [0.2, 0.4]) for name in NAMES}}, NAMES, across="Predicted"),
    ]

    for svg in drawn:
        assert all(value in svg for value in colour.values())
        assert INK in svg


def test_thirteen_names_still_differ() -> None:
    names = [str(number) for number in range(40)]
    colour, dash = plots.colours(names), plots.dashes(names)

    assert len({(colour[name], dash[name]) for name in names}) == 40


def test_the_same_numbers_give_the_same_file() -> None:
    assert plots.lines(LINES, NAMES, across="Clicks") == plots.lines(LINES, NAMES, across="Clicks")


def test_many_scores_are_a_box_alone() -> None:
    few = plots.boxes({"": {"a": [0.1, 0.5, 0.6]}}, ["a"])
    many = plots.boxes({"": {"a": [i / 1000 for i in range(900)]}}, ["a"])

    assert len(many) < len(few) + 3_000  # 900 points would be 90,000
