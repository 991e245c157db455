"""A claim is judged by the pairs it speaks of, and one that cannot be tested says why."""

import math

import numpy as np
import pytest
from scipy import stats

from segmend.papers.study.claims import HELD, NOT_HELD, NOT_TESTED, OPEN, judge, judge_all, pick_scores
from segmend.papers.study.experiment import PERSON, Better, Close, Fast, Less, Pick, Score, Sooner, Tracks


def scores(arm: str, *dices: float, seed: int = 0, at: int = 0, name: str = "skin", **more: float) -> list[Score]:
    """Return a score for each case a, b, c ..."""
    return [Score(arm, name, "abcdefgh"[i], d, seed, at, more=more) for i, d in enumerate(dices)]


GOOD = scores("good", 0.9, 0.8, 0.9, 0.7)
PLAIN = scores("plain", 0.6, 0.7, 0.5, 0.65)


def test_a_better_arm_is_better_with_its_interval_and_p():
    found = judge(Better("It is.", Pick("good"), Pick("plain")), [*GOOD, *PLAIN])

    expected = stats.ttest_rel([0.9, 0.8, 0.9, 0.7], [0.6, 0.7, 0.5, 0.65])
    assert (found.outcome, found.rule) == (HELD, "good − plain > 0")
    assert (found.pairs, found.cases, found.seeds) == (4, 4, 1)
    assert found.value == pytest.approx(0.2125)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.p_of_cases == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_the_bar_is_what_the_claim_asks_for():
    asked = [Better("By a lot.", Pick("good"), Pick("plain"), least=least) for least in (0.2, 0.22)]

    assert [judge(claim, [*GOOD, *PLAIN]).outcome for claim in asked] == [HELD, NOT_HELD]


def test_a_worse_arm_does_not_hold():
    found = judge(Better("It is.", Pick("plain"), Pick("good")), [*GOOD, *PLAIN])

    assert (found.outcome, found.value) == (NOT_HELD, pytest.approx(-0.2125))


def test_arms_that_are_equal_everywhere_bear_no_claim_out():
    same = scores("same", 0.9, 0.8, 0.9, 0.7)

    better = judge(Better("It is.", Pick("same"), Pick("good")), [*GOOD, *same])
    no_worse = judge(Better("It does not fall.", Pick("same"), Pick("good"), least=-0.001), [*GOOD, *same])

    assert (better.outcome, better.value) == (NOT_HELD, 0)
    assert no_worse.outcome == HELD


def test_a_difference_within_chance_is_said_to_be():
    found = judge(Better("Hardly.", Pick("a"), Pick("b")), [*scores("a", 0.5, 0.7, 0.6), *scores("b", 0.6, 0.5, 0.6)])

    assert (found.outcome, found.remark) == (HELD, "The difference is not significant.")
    assert found.low < 0 < found.high


def test_only_what_both_arms_measured_is_paired():
    other = [*scores("b", 0.4, 0.4, seed=1), *scores("b", 0.4, name="head"), *scores("b", 0.3)]

    found = judge(Better("It is.", Pick("good"), Pick("b")), [*GOOD, *other])

    assert (found.pairs, found.value) == (1, pytest.approx(0.6))
    assert (found.p, found.low) == (None, None)


def test_seeds_are_pairs_of_their_own_but_not_cases_of_their_own():
    both = [
        s for seed in (0, 1) for s in (*scores("a", 0.9, 0.7, 0.8, seed=seed), *scores("b", 0.6, 0.6, 0.6, seed=seed))
    ]

    found = judge(Better("It is.", Pick("a"), Pick("b")), both)

    assert (found.pairs, found.cases, found.seeds) == (6, 3, 2)
    assert found.p_of_cases == pytest.approx(stats.ttest_rel([0.9, 0.7, 0.8], [0.6, 0.6, 0.6]).pvalue)
    assert found.p < found.p_of_cases


def test_data_sets_can_be_judged_alone():
    both = [*GOOD, *PLAIN, *scores("good", 0.5, name="head"), *scores("plain", 0.6, name="head")]

    everywhere = judge(Better("It is.", Pick("good"), Pick("plain")), both)
    there = judge(Better("It is.", Pick("good", sets=("head",)), Pick("plain")), both)

    assert everywhere.by_set == {"skin": pytest.approx(0.2125), "head": pytest.approx(-0.1)}
    assert (there.pairs, there.outcome) == (1, NOT_HELD)


def test_a_game_that_ended_early_keeps_its_last_mask():
    played = [Score("a", "skin", "x", d, at=at) for at, d in ((1, 0.5), (2, 0.6), (3, 0.7))]
    content = [Score("a", "skin", "y", 0.95, at=1)]

    def at(number):
        return [s.dice for s in pick_scores([*played, *content], Pick("a", at=number)).values()]

    assert sorted(at(1)) == [0.5, 0.95]
    assert sorted(at(3)) == sorted(at(None)) == [0.7, 0.95]


@pytest.mark.parametrize(
    ("pick", "why"),
    [
        (Pick("none"), "'none' was not measured."),
        (Pick("good", at=4), "'good' was not measured at 4."),
        (Pick("good", sets=("chest", "brain")), "'good' was not measured on chest or brain."),
    ],
)
def test_a_claim_on_what_was_not_measured_says_so(pick, why):
    asked = [
        Better("It is.", pick, Pick("plain")),
        Better("It is.", Pick("plain"), pick),
        Close("It is.", Pick("plain"), pick, within=1),
        Tracks("It does.", pick),
        Fast("It is.", pick, most=1),
    ]

    assert {(v.outcome, v.remark, v.value) for v in (judge(c, [*GOOD, *PLAIN]) for c in asked)} == {
        (NOT_TESTED, why, None)
    }


def test_arms_without_a_case_in_common_cannot_be_compared():
    found = judge(Better("It is.", Pick("good"), Pick("b")), [*GOOD, *scores("b", 0.5, seed=7)])

    assert found.outcome == NOT_TESTED
    assert found.remark == "The two were not measured on the same case under one seed."


def test_scores_that_are_no_numbers_are_left_out_and_counted():
    found = judge(Better("It is.", Pick("good"), Pick("b")), [*GOOD, *scores("b", 0.5, math.nan, 0.4)])

    assert (found.pairs, found.outcome) == (2, HELD)
    assert found.remark.startswith("1 pairs without a number were left out.")


def test_close_is_close_in_both_directions():
    for this, other in (("good", "plain"), ("plain", "good")):
        near = judge(Close("It is.", Pick(this), Pick(other), within=0.22), [*GOOD, *PLAIN])
        far = judge(Close("It is.", Pick(this), Pick(other), within=0.2), [*GOOD, *PLAIN])
        assert (near.outcome, far.outcome) == (HELD, NOT_HELD)
    assert near.rule == "|plain − good| ≤ 0.22"


def test_what_is_predicted_is_compared_with_what_is_true():
    true = [0.2, 0.5, 0.6, 0.9]
    mine = [Score("q", "skin", str(d), d, more={"predicted": d * d}) for d in true]

    found = judge(Tracks("It does.", Pick("q"), least=0.9), mine)
    strict = judge(Tracks("It does.", Pick("q"), least=0.995), mine)

    expected = stats.pearsonr([d * d for d in true], true)
    assert (found.outcome, strict.outcome) == (HELD, NOT_HELD)
    assert (found.measure, found.value, found.p) == (
        "r",
        pytest.approx(expected.statistic),
        pytest.approx(expected.pvalue),
    )
    assert found.remark == f"The mean absolute error is {np.mean([d - d * d for d in true]):.3f}."
    assert found.by_set == {"skin": pytest.approx(expected.statistic)}


def test_a_number_that_nobody_gave_cannot_be_followed():
    found = judge(Tracks("It does.", Pick("good"), "guess"), GOOD)

    assert (found.outcome, found.remark) == (NOT_TESTED, "good gave no 'guess'.")


def test_a_constant_cannot_be_followed():
    found = judge(Tracks("It does.", Pick("good")), scores("good", 0.5, 0.6, 0.7, predicted=0.5))

    assert (found.outcome, found.remark) == (NOT_TESTED, "A correlation needs three scores or more that differ; got 3.")
    assert found.pairs == 3


def test_the_median_step_is_timed():
    steps = [Score("a", "skin", c, 0.5, at=at, seconds=s) for c, at, s in (("x", 1, 0.1), ("x", 2, 0.3), ("y", 1, 2.0))]
    untimed = Score("a", "skin", "z", 0.5, at=1)

    found = judge(Fast("It is.", Pick("a"), most=0.3), [*steps, untimed])
    second = judge(Fast("It is.", Pick("a", at=2), most=0.2), [*steps, untimed])

    assert (found.outcome, found.value, found.pairs, found.cases) == (HELD, 0.3, 3, 2)
    assert found.remark == "The slowest of 3 steps took 2 s."
    assert (second.outcome, second.value) == (NOT_HELD, 0.3)


def test_a_median_of_seconds_is_beyond_chance_by_the_sign_of_its_cases():
    def timed(*seconds):
        return [Score("a", "skin", f"case {n}", 0.5, seconds=s) for n, s in enumerate(seconds)]

    quick, few = timed(0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 9.0, 0.1, 0.1), timed(0.1, 0.2)

    assert judge_all([Fast("It is.", Pick("a"), most=1)], quick)[0].outcome == HELD
    assert judge_all([Fast("It is.", Pick("a"), most=1)], few)[0].outcome == OPEN
    assert judge(Fast("It is.", Pick("a"), most=1), quick).p_of_bar == pytest.approx(stats.binomtest(1, 9).pvalue)


def test_a_number_beside_the_dice_is_less_than_a_share_of_anothers():
    right, wrong = (
        [Score(arm, "skin", "abcdef"[i], 0.5, at=1, more={"changed": c}) for i, c in enumerate(values)]
        for arm, values in (
            ("right", (0.10, 0.20, 0.30, 0.12, 0.18, 0.25)),
            ("wrong", (0.02, 0.05, 0.1, 0.03, 0.04, 0.06)),
        )
    )

    half, tenth = (
        judge_all([Less("Little.", Pick("wrong", at=1), Pick("right", at=1), "changed", share)], [*right, *wrong])[0]
        for share in (0.5, 0.1)
    )

    assert half.rule == "changed: 0.5 times right at 1 − wrong at 1 > 0"
    assert (half.outcome, half.value, half.cases) == (
        HELD,
        pytest.approx(np.mean([0.03, 0.05, 0.05, 0.03, 0.05, 0.065])),
        6,
    )
    assert tenth.outcome == NOT_HELD
    silent = judge(Less("Little.", Pick("good"), Pick("right"), "changed"), [*right, *GOOD])
    assert (silent.outcome, silent.remark) == (NOT_TESTED, "good gave no 'changed'.")


def test_a_person_is_content_sooner_and_a_mask_that_never_is_good_counts_as_given_up():
    def game(arm, case, *turns):
        return [Score(arm, "skin", case, d, at=n, more={PERSON: s}) for n, (d, s) in enumerate(turns, start=1)]

    scores_ = [
        *game("quick", "a", (0.6, 7.0), (0.9, 18.0), (0.95, 30.0)),  # 18
        *game("slow", "a", (0.5, 11.0), (0.6, 22.0), (0.9, 33.0)),  # 33
        *game("quick", "b", (0.9, 7.0)),  # 7
        *game("slow", "b", (0.5, 11.0), (0.6, 22.0)),  # given up
    ]

    found = judge(Sooner("It is.", Pick("quick"), Pick("slow")), scores_)
    first = judge(Sooner("It is.", Pick("quick", at=1), Pick("slow", at=1)), scores_)

    assert (found.outcome, found.value, found.measure) == (HELD, pytest.approx((15 + 113) / 2), "s saved")
    assert first.value == pytest.approx((0 + 113) / 2)  # after one turn only b is good, with one arm


def test_what_was_not_timed_cannot_be_fast():
    found = judge(Fast("It is.", Pick("good"), most=1), GOOD)

    assert (found.outcome, found.remark) == (NOT_TESTED, "good was not timed.")


def test_a_claim_holds_beyond_chance_alone_and_chance_is_corrected_for_their_number():
    clear, slight = Better("Clear.", Pick("good"), Pick("plain")), Better("Slight.", Pick("good"), Pick("near"))
    worse, timed = Better("Worse.", Pick("bad"), Pick("good")), Fast("It is.", Pick("good"), most=1)
    base = [0.5, 0.6, 0.7, 0.8, 0.55, 0.65]
    arms = {"good": 0.0, "plain": -0.2, "bad": -0.3}
    found = [s for arm, by in arms.items() for s in scores(arm, *(b + by + i / 1000 for i, b in enumerate(base)))]
    found += scores("near", *(b + by for b, by in zip(base, (-0.03, 0.01, -0.03, -0.01, -0.02, -0.01), strict=True)))
    found += [Score("good", "skin", f"z{n}", 0.5, seconds=0.2) for n in range(12)]

    alone = judge_all([slight], found)[0]
    together = judge_all([clear, slight, slight, worse, timed], found)

    assert (alone.outcome, alone.p_holm == alone.p_of_cases < 0.05) == (HELD, True)
    assert [verdict.outcome for verdict in together] == [HELD, OPEN, OPEN, NOT_HELD, HELD]
    assert together[1].p_holm == pytest.approx(2 * alone.p_holm)
    assert together[4].p_holm == pytest.approx(3 * 2 / 2**12)


def test_closeness_needs_an_interval_within_the_bar():
    near, scattered = scores("near", 0.89, 0.81, 0.9, 0.7), scores("far", 0.6, 0.95, 0.9, 0.85)
    claims = [Close("It is.", Pick("good"), Pick(arm), within=0.1) for arm in ("near", "far", "plain")]

    found = judge_all(claims, [*GOOD, *near, *scattered, *PLAIN])

    assert [verdict.outcome for verdict in found] == [HELD, OPEN, OPEN]


def test_one_case_bears_no_claim_out():
    found = judge_all([Better("It is.", Pick("a"), Pick("b"))], [*scores("a", 0.9), *scores("b", 0.1)])

    assert (found[0].outcome, found[0].p_holm) == (OPEN, 1.0)
