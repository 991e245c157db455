"""Numbers that float32 does not hold well: shifted and scaled before a method sees them, in the same proportions."""

import numpy as np
import pytest

from segmend.core.dynamic_range import USUAL, in_usual_range
from segmend.core.image import Image
from segmend.errors import ShapeError

STEPS = np.array([0, 1, 3, 50, 51, 100])  # the differences that must survive


def image_of(values: np.ndarray) -> Image:
    return Image(values.reshape(1, 1, 2, 3), notes=("kept",))


def proportions(image: Image) -> np.ndarray:
    values = image.voxels.ravel().astype(np.float64)
    return (values - values[0]) / (values[-1] - values[0]) * 100


@pytest.mark.parametrize(
    "values",
    [
        STEPS.astype(np.uint8),
        STEPS.astype(np.int16) - 30000,
        STEPS.astype(np.int32) * 1000,
        STEPS.astype(np.float32) / 100,
        STEPS.astype(np.float64) - 1000,
        np.zeros(6, np.float32),
        np.full(6, 2.0**80),
    ],
    ids=["bytes", "short", "int", "float", "double", "zeros", "constant"],
)
def test_usual_numbers_stay_as_they_are(values: np.ndarray) -> None:
    image = image_of(values)

    assert in_usual_range(image) is image


@pytest.mark.parametrize(
    "values",
    [
        STEPS.astype(np.float16) * np.float16(6e-5),
        STEPS.astype(np.float32) * np.float32(1e-11),
        STEPS.astype(np.float32) * np.float32(1e-42),  # below the smallest normal number
        STEPS.astype(np.float32) * np.float32(1e34),
        (STEPS.astype(np.float32) - 50) * np.float32(6e36),  # whose range float32 does not hold
        STEPS.astype(np.float64) * 1e-40,
        STEPS.astype(np.float64) + 1e12,
        STEPS.astype(np.int32) + (2**31 - 200),
        STEPS.astype(np.int32) + np.int32(-(2**31)),
        STEPS.astype(np.uint32) + np.uint32(2**32 - 200),
        STEPS.astype(np.int64) + (2**63 - 200),
        STEPS.astype(np.int64) + np.int64(-(2**63)),
        (STEPS.astype(np.int64) - 50) * (2**56),
        STEPS.astype(np.uint64) + np.uint64(2**64 - 200),
        STEPS.astype(np.uint64) * np.uint64(2**57),
    ],
    ids=["half", "small", "subnormal", "large", "widest", "double", "far-double", "int", "low-int", "uint", "long",
         "low-long", "wide-long", "ulong", "wide-ulong"],
)  # fmt: skip
def test_other_numbers_keep_their_proportions(values: np.ndarray) -> None:
    image = in_usual_range(image_of(values))

    assert image.voxels.dtype == np.float32 and image.notes == ("kept",)
    assert USUAL[0] <= np.ptp(image.voxels) <= USUAL[1]
    near = 2 if values.dtype == np.float16 or values.max() < 1e-38 else 1e-3  # of such numbers few bits are known
    np.testing.assert_allclose(proportions(image), STEPS, atol=near)


def test_scaling_changes_no_bit_of_a_number() -> None:
    values = np.random.default_rng(0).random(6, np.float32) * np.float32(1e-9)

    scaled = in_usual_range(image_of(values)).voxels.ravel()

    assert np.array_equal(np.frexp(scaled)[0], np.frexp(values)[0])


def test_numbers_beyond_float32_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"needs numbers that float32 holds, up to 3\.4e\+38; got 1e\+300"):
        in_usual_range(image_of(np.array([0, 1, 2, 3, 4, 1e300])))
