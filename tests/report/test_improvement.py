"""The report of a round: what was decided, why, and what became of every case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segmend.continual.trial import MOMENTS, PairedScores, Trial, Trials
from segmend.evaluation.evaluate import Problem
from segmend.report import page
from segmend.report.improvement import page_of, sentence

OLD = dict.fromkeys(MOMENTS, 0.5)
SITE = Trial(
    (PairedScores("a1", OLD, dict.fromkeys(MOMENTS, 0.6)), PairedScores("b2", OLD, OLD)), (Problem("", "c3", "torn"),)
)
SETTINGS = {"steps": 3, "batch": 2, "rate": 0.1, "synthetic": 0.4, "seed": 0}


def report(*because: str, site: Trial = SITE) -> dict[str, Any]:
    part = {"better": not because, "because": list(because), "settings": SETTINGS, **Trials(site, Trial(())).to_json()}
    cases = [
        {"id": "a1", "name": "a head", "image": "0123456789abcdef", "kind": "pictures", "part": "check"},
        {"id": "d4", "name": "a hand", "image": "fedcba9876543210", "kind": "pictures", "part": "learn"},
        {"id": "e5", "name": "a foot", "image": "aaaabbbbccccdddd", "kind": "volumes", "part": "learn"},
    ]
    return {
        "segmend": "1",
        "finished": "today",
        "over": 4,
        "version": None if because else 5,
        "rule": {"gain": 0.005, "lost": 0.02, "least": 3},
        "parts": {"pictures": part},
        "cases": cases,
        "left_out": {"an arm": "It is gone."},
    }


def test_every_case_and_every_moment_is_there() -> None:
    text = page.markdown(page_of(report()))

    assert "The new weights for pictures are better and become version 5." in text
    assert "| 1 click | 0.500 | 0.550 | +0.0500<br>−0.5853 to +0.6853 | 0.500 | 1 | 0 |" in text
    assert "| a head | pictures | checked on | +0.1000 | 0123456789ab |" in text
    assert "| a hand | pictures | learned from |  | fedcba987654 |" in text
    assert "| a foot | volumes | too few of its kind |  | aaaabbbbcccc |" in text
    assert "| an arm | It is gone. |\n| c3 | torn |" in text
    assert "None could be played." in text  # of the drawn scenes


def test_reasons_against_are_a_list() -> None:
    text = page.markdown(page_of(report("It is worse.", "It forgot.")))

    assert "They are not better:\n\n- It is worse.\n- It forgot." in text
    assert "The old weights stay in use" in text


def test_one_case_has_no_interval() -> None:
    text = page.markdown(page_of(report(site=Trial(SITE.pairs[:1]))))

    assert "| 1 click | 0.500 | 0.600 | +0.1000 | – | 1 | 0 |" in text


def test_the_decision_is_a_sentence() -> None:
    out = Path("site")

    assert sentence(report(), installed=True, out=out) == (
        "The new weights are better (mean Dice: pictures +0.050) and in use: version 5 of site."
    )
    assert sentence(report(), installed=False, out=out) == (
        "The new weights were better but were undone, so version 5 of site is not in use."
    )
    assert sentence(report("It forgot."), installed=False, out=out) == (
        "The old weights stay in use, for the new ones are not better. It forgot."
    )
