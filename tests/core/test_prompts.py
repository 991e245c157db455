"""Prompts: where they may lie, how they travel, and what is said about those that cannot be read."""

from __future__ import annotations

import base64
import json
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import Box, bounds
from segmend.core.prompts import (
    KINDS,
    MAX_POINTS,
    Adjust,
    Click,
    Drawn,
    Extremes,
    Lasso,
    Mask,
    Prompt,
    Stroke,
    check,
    extent,
    from_json,
    kind_of,
    to_json,
)
from segmend.errors import PromptError

SHAPE = (3, 4, 5)
INSIDE = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
POINTS = st.lists(INSIDE, min_size=1, max_size=6).map(tuple)


def flat(points: tuple[Any, ...], axis: int, at: int) -> tuple[Any, ...]:
    return tuple((*p[:axis], at, *p[axis + 1 :]) for p in points)


def filled(bits: int, low: tuple[int, int, int]) -> Mask:
    shape = [n - l for n, l in zip(SHAPE, low, strict=True)]
    return Mask(np.random.default_rng(bits).random(shape) < 0.5, low)


def drawn(bits: int, low: tuple[int, int, int], positive: bool) -> Drawn:
    inside = filled(bits, low).inside.copy()
    inside[0, 0, 0] = True
    return Drawn(inside, low, positive)


PROMPTS: st.SearchStrategy[Prompt] = st.one_of(
    st.builds(Click, INSIDE, st.booleans()),
    st.builds(Stroke, POINTS, st.booleans(), st.floats(0, 1000)),
    st.builds(lambda p, axis, sign: Lasso(flat(p, axis, 1), axis, sign), POINTS, st.integers(0, 2), st.booleans()),
    st.builds(Extremes, POINTS),
    st.builds(lambda a, b: Box(np.minimum(a, b).tolist(), (np.maximum(a, b) + 1).tolist()), INSIDE, INSIDE).map(
        lambda box: Box(tuple(box.low), tuple(box.high))
    ),
    st.builds(Adjust, st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["mask", "truth"])),
    st.builds(filled, st.integers(0, 2**32 - 1), INSIDE),
    st.builds(drawn, st.integers(0, 2**32 - 1), INSIDE, st.booleans()),
)


class TestCheck:
    @given(PROMPTS)
    def test_what_lies_inside_is_taken_and_travels(self, prompt: Prompt) -> None:
        check(prompt, SHAPE)
        assert from_json(json.loads(json.dumps(to_json(prompt)))) == prompt
        assert KINDS[kind_of(prompt)] is type(prompt)

    @pytest.mark.parametrize(
        ("prompt", "words"),
        [
            (Click((3, 0, 0)), r"The click reaches \(3, 0, 0\), outside the image of shape \(3, 4, 5\)"),
            (Click((0, -1, 0)), r"The click reaches \(0, -1, 0\), outside"),
            (Stroke(((0, 0, 0), (0, 0, 5))), r"The stroke reaches \(0, 0, 5\), outside"),
            (Stroke(()), "A stroke needs 1 to 100000 points; got 0"),
            (Extremes(((0, 0, 0),) * (MAX_POINTS + 1)), "A set of extremes needs 1 to 100000 points; got 100001"),
            (Stroke(((0, 0, 0),), radius=-1), "A stroke needs a radius of 0 to 1000 voxels; got -1"),
            (Stroke(((0, 0, 0),), radius=float("nan")), "A stroke needs a radius of 0 to 1000 voxels; got nan"),
            (Stroke(((0, 0, 0),), radius=1001), "got 1001"),
            (Lasso(((0, 0, 0), (0, 1, 1), (0, 2, 0)), axis=3), "A lasso needs axis 0, 1 or 2; got 3"),
            (Lasso(((0, 0, 0), (1, 1, 1))), "A lasso needs all its points in one plane; got 2 planes of axis 0"),
            (Lasso(()), "A lasso needs 1 to 100000 points; got 0"),
            (Adjust(float("inf")), "An adjustment needs a finite number; got inf"),
            (Box((0, 0, 0), (1, 0, 1)), r"A box needs at least one voxel; got \(0, 0, 0\) to \(1, 0, 1\)"),
            (Box((0, 2, 0), (1, 5, 1)), r"The box reaches \(0, 4, 0\), outside"),
            (Mask(np.zeros((1, 1, 2), bool), (2, 3, 4)), r"The mask reaches \(2, 3, 5\), outside"),
            (Mask(np.zeros((0, 1, 2), bool)), "A mask needs at least one voxel"),
            (Drawn(np.zeros((1, 1, 2), bool)), "A drawing needs 1 to 1000000 voxels; got 0"),
            (Drawn(np.ones((1, 1, 2), bool), (2, 3, 4)), r"The drawn reaches \(2, 3, 5\), outside"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, prompt: Prompt, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            check(prompt, SHAPE)


class TestExtent:
    def test_the_extent_is_tight(self) -> None:
        assert extent(Click((1, 2, 3))) == Box((1, 2, 3), (2, 3, 4))
        assert extent(Extremes(((0, 3, 1), (2, 0, 4)))) == Box((0, 0, 1), (3, 4, 5))
        assert extent(Box((0, 1, 2), (1, 2, 4))) == Box((0, 1, 2), (1, 2, 4))
        assert extent(Adjust(1.0)) is None

    def test_a_mask_reaches_as_far_as_its_voxels(self) -> None:
        inside = np.zeros((2, 3, 4), bool)
        assert extent(Mask(inside, (5, 6, 7))) is None
        inside[1, 2, 0:2] = True
        assert extent(Mask(inside, (5, 6, 7))) == Box((6, 8, 7), (7, 9, 9))


class TestAdjust:
    @pytest.mark.parametrize(("k", "factor"), [(-1.0, 0.0), (-0.5, 0.5), (0.0, 1.0), (0.5, 1.5), (3.0, 4.0)])
    def test_k_is_a_share_of_the_mask_as_it_is(self, k: float, factor: float) -> None:
        assert Adjust(k).factor == factor
        assert 1 / (1 - Adjust(k).k_of_truth) == pytest.approx(factor, abs=1e-6)

    def test_k_of_the_truth_is_what_the_first_version_meant(self) -> None:
        assert from_json({"kind": "adjust", "k": 0.5}) == Adjust(0.5, of="truth")
        assert Adjust(0.5, of="truth").factor == 2
        assert Adjust(0.5, of="truth").k_of_truth == 0.5


class TestMask:
    def test_a_mask_has_three_axes(self) -> None:
        with pytest.raises(PromptError, match=r"A mask prompt needs 3 axes \(z, y, x\); got shape \(3, 4\)"):
            Mask(np.zeros((3, 4), bool))

    def test_masks_are_values(self) -> None:
        one, same = Mask(np.eye(3, dtype=np.uint8)[None]), Mask(np.eye(3, dtype=bool)[None])
        assert one == same
        assert hash(one) == hash(same)
        assert one != Mask(np.eye(3, dtype=bool)[None], (0, 0, 1))
        assert one != Click((0, 0, 0))
        with pytest.raises(ValueError, match="read-only"):
            one.inside[0, 0, 0] = False

    def test_a_mask_travels_with_its_place(self) -> None:
        mask = Mask(np.arange(24).reshape(2, 3, 4) % 5 == 0, (1, 0, 2))
        found = from_json(to_json(mask))
        assert isinstance(found, Mask)
        assert bounds(found.inside) == bounds(mask.inside)
        assert found.low == (1, 0, 2)


def bits_of(count: int) -> str:
    return base64.b64encode(zlib.compress(bytes(count))).decode()


class TestFromJson:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({}, "A prompt needs a kind among click, stroke, box, lasso, extremes, adjust, mask, drawn; got None"),
            ({"kind": "wish"}, "got 'wish'"),
            ({"kind": {}}, r"got \{\}"),
            ([1, 2], "A prompt needs a kind among .*; got None"),
            ({"kind": "click"}, r"A click needs 'index'; got only \['kind'\]"),
            ({"kind": "click", "index": [1, 2]}, r"An index needs three whole numbers \(z, y, x\); got \[1, 2\]"),
            ({"kind": "click", "index": "123"}, "An index needs three whole numbers .* got '123'"),
            ({"kind": "click", "index": [1, 2, 3.5]}, r"An index needs three whole numbers .* got \[1, 2, 3.5\]"),
            ({"kind": "click", "index": [1, 2, True]}, "An index needs three whole numbers"),
            ({"kind": "click", "index": [1, 2, "3"]}, "An index needs three whole numbers"),
            ({"kind": "click", "index": [1, 2, "x"]}, "The click could not be read: invalid literal"),
            ({"kind": "click", "index": 7}, "The click could not be read: object of type 'int' has no len"),
            ({"kind": "click", "index": [0, 0, float("nan")]}, "The click could not be read: cannot convert"),
            ({"kind": "click", "index": [0, 0, float("inf")]}, "The click could not be read: cannot convert"),
            ({"kind": "click", "index": [0, 0, 0], "positive": 1}, "'positive' needs true or false; got 1"),
            ({"kind": "stroke", "points": []}, "A stroke needs 1 to 100000 points; got 0"),
            ({"kind": "stroke", "points": [[0, 0, 0]], "radius": "wide"}, "The stroke could not be read"),
            ({"kind": "box", "low": [0, 0, 0]}, r"A box needs 'high'; got only \['kind', 'low'\]"),
            ({"kind": "lasso", "points": [[0, 0, 0]], "axis": None}, "The lasso could not be read"),
            ({"kind": "adjust"}, "An adjustment needs 'k'"),
            ({"kind": "adjust", "k": 0.5, "of": "image"}, "'of' needs mask or truth; got 'image'"),
            ({"kind": "mask", "low": [0, 0, 0], "bits": ""}, "A mask needs 'shape'"),
            ({"kind": "drawn", "low": [0, 0, 0], "bits": ""}, "A drawing needs 'shape'"),
            (
                {"kind": "drawn", "low": [0, 0, 0], "shape": [1, 2, 9], "bits": bits_of(10_000_000)},
                r"A drawing of shape \(1, 2, 9\) needs 3 bytes of bits; got 4",
            ),
            (
                {"kind": "mask", "low": [0, 0, 0], "shape": [0, 1, 1], "bits": ""},
                r"of 1 to 2\^31 voxels; got \(0",
            ),
            (
                {"kind": "mask", "low": [0, 0, 0], "shape": [2000, 2000, 2000], "bits": ""},
                r"of 1 to 2\^31 voxels",
            ),
            ({"kind": "mask", "low": [0, 0, 0], "shape": [1, 2, 9], "bits": "!"}, "The mask could not be read: "),
            (
                {"kind": "mask", "low": [0, 0, 0], "shape": [1, 2, 9], "bits": "AAAA"},
                "could not be read: Error",
            ),
            (
                {"kind": "mask", "low": [0, 0, 0], "shape": [1, 2, 9], "bits": bits_of(2)},
                r"A mask of shape \(1, 2, 9\) needs 3 bytes of bits; got 2",
            ),
            (
                {"kind": "mask", "low": [0, 0, 0], "shape": [1, 2, 9], "bits": bits_of(10_000_000)},
                "needs 3 bytes of bits; got 4",
            ),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, values: Any, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            from_json(values)

    @given(
        st.sampled_from(sorted(KINDS)),
        st.dictionaries(
            st.sampled_from(["index", "points", "low", "high", "positive", "radius", "axis", "k", "shape", "bits"]),
            st.recursive(
                st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=4),
                lambda inner: st.lists(inner, max_size=3),
            ),
        ),
    )
    def test_any_json_is_a_prompt_or_refused(self, kind: str, values: dict[str, Any]) -> None:
        with suppress(PromptError):
            check(from_json({**values, "kind": kind}), SHAPE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "stroke", "points": [[0, 1, 1]], "radius": "2"}, "'radius' needs a number; got '2'"),
        ({"kind": "stroke", "points": [[0, 1, 1]], "radius": True}, "'radius' needs a number; got True"),
        ({"kind": "adjust", "k": "0.5"}, "'k' needs a number; got '0.5'"),
        ({"kind": "lasso", "points": [[0, 1, 1]], "axis": "1"}, "'axis' needs 0, 1 or 2; got '1'"),
        ({"kind": "lasso", "points": [[0, 1, 1]], "axis": False}, "'axis' needs 0, 1 or 2; got False"),
        ({"kind": "lasso", "points": [[0, 1, 1]], "axis": 0.5}, "'axis' needs 0, 1 or 2; got 0.5"),
    ],
)
def test_what_only_looks_like_a_number_is_refused(values, words):
    with pytest.raises(PromptError, match=words):
        from_json(values)


class TestDrawn:
    def test_equal_ones_hash_alike(self) -> None:
        one, same = Drawn(np.eye(3, dtype=bool)[None]), Drawn(np.eye(3, dtype=bool)[None])

        assert one == same and hash(one) == hash(same) and not one.inside.flags.writeable
        assert one != Drawn(np.eye(3, dtype=bool)[None], positive=False) and one != Mask(one.inside)

    def test_its_points_lie_on_the_image(self) -> None:
        assert Drawn(np.array([[[False, True], [True, False]]]), (4, 5, 6)).points.tolist() == [[4, 5, 7], [4, 6, 6]]

    def test_three_axes_are_needed(self) -> None:
        with pytest.raises(PromptError, match="A drawing prompt needs 3 axes"):
            Drawn(np.ones((3, 4), bool))
