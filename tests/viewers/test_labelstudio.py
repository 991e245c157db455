"""Masks as Label Studio's own SDK reads and writes them."""

from pathlib import Path

import numpy as np
import pytest

from segmend.server.protocols import brush
from tests.viewers.clients import VIEWERS, Client, need, python_of


class Sdk(Client):
    """The SDK, in a process of its own."""

    mark = "JSON "  # it prints what it lacks for other things

    def __init__(self):
        home = need(VIEWERS / "labelstudio", "label-studio-sdk")
        super().__init__([python_of(home), str(Path(__file__).with_name("labelstudio_client.py"))])


@pytest.fixture(scope="module")
def sdk():
    with Sdk() as client:
        yield client


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (60, 90), (300, 400)])
@pytest.mark.parametrize("share", [0, 0.03, 0.5, 1])
def test_masks_are_the_same_there_and_here(sdk, shape, share):
    random = np.random.default_rng(0)
    mask = random.random(shape) < share
    if shape[0] > 50:
        mask[10:40, 20:70] = True

    there = np.array(sdk.do("unpack", rle=brush.pack(mask), height=shape[0], width=shape[1]))
    assert set(np.unique(there)) <= {0, 255}
    np.testing.assert_array_equal(there != 0, mask)
    rle = sdk.do("pack", mask=(255 * mask).tolist())
    np.testing.assert_array_equal(brush.unpack(rle, shape), mask)
