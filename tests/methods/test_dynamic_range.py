"""The unit that a file counts in decides nothing: the same picture gets the same mask."""

import numpy as np
import pytest

from segmend import methods
from segmend.core.image import Image
from segmend.core.prompts import Click
from segmend.core.segmenter import answer
from segmend.errors import SegmendError

ROWS, COLUMNS = np.mgrid[:72, :80]
DISC = (ROWS - 30) ** 2 + (COLUMNS - 44) ** 2 < 16**2
PICTURE = (0.6 * DISC + 0.2 + 0.03 * np.random.default_rng(0).standard_normal(DISC.shape)).astype(np.float32)


def mask_of(method: str, picture: np.ndarray) -> np.ndarray:
    image = Image(picture[None, None])
    nothing = np.zeros(image.shape, bool)
    return answer(methods.load(method).open(image), [Click((0, 30, 44))], nothing).over(nothing)[0]


@pytest.mark.parametrize("method", ["mend", "graphcut", "randomwalker", "growcut", "deepigeos"])
def test_a_picture_in_another_unit_gets_the_same_mask(method: str) -> None:
    expected = mask_of(method, PICTURE)
    whole = np.rint(PICTURE * 1000)

    assert (expected & DISC).sum() > 0.9 * DISC.sum()
    for other in (
        PICTURE * np.float32(1e-9),  # square metres a second
        PICTURE * np.float32(1e30),
        PICTURE.astype(np.float64) * 1e-200,
        whole.astype(np.int64) + (2**63 - 4000),
    ):
        assert np.count_nonzero(mask_of(method, other) != expected) <= 0.01 * DISC.sum(), other.dtype


@pytest.mark.parametrize("method", ["mend", "graphcut"])
def test_numbers_that_no_method_holds_are_refused_in_a_sentence(method: str) -> None:
    with pytest.raises(SegmendError, match="needs numbers that float32 holds"):
        mask_of(method, PICTURE.astype(np.float64) * 1e300)
