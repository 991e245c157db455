"""Samples are drawn by number, in this process or another, with one thread for their small matrices."""

from itertools import chain

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from segmend.errors import SettingsError
from segmend.learning import batches as module
from segmend.learning.batches import batches
from segmend.learning.distributed import ALONE


class Threads:
    """Draws the number and how many threads NumPy's and SciPy's matrix products have."""

    def __getitem__(self, number):
        np.ones((2, 2)) @ np.ones((2, 2))
        return number, max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


class Pictures:
    """Draws arrays of many kinds, one of them not contiguous."""

    def __getitem__(self, number):
        picture = np.random.default_rng(number).random((3, 50, 41)).astype(np.float32)
        return picture, picture[0] > 0.5, picture[:, ::2].T, np.zeros((0, 4)), f"number {number}"


class Broken:
    def __getitem__(self, number):
        raise SettingsError("There is nothing to draw.")


@pytest.mark.parametrize("workers", [0, 1])
def test_every_sample_is_drawn_once_in_order_with_one_thread(workers):
    found = list(batches(Threads(), 2, 4, 3, workers, ALONE))

    assert found == [[(6, 1), (7, 1), (8, 1)], [(9, 1), (10, 1), (11, 1)]]


def test_afterwards_there_are_as_many_threads_as_before():
    before = [pool["num_threads"] for pool in threadpool_info()]

    list(batches(Threads(), 0, 1, 2, 0, ALONE))

    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_ours_keeps_its_words(workers):
    with pytest.raises(SettingsError, match=r"^There is nothing to draw\.$"):
        list(batches(Broken(), 0, 1, 1, workers, ALONE))


@pytest.mark.parametrize("room", [module.ROOM, 2**60])
def test_arrays_come_whole_from_another_process_in_shared_memory_or_through_a_pipe(monkeypatch, room):
    monkeypatch.setattr(module, "ROOM", room)
    here = list(batches(Pictures(), 0, 3, 4, 0, ALONE))

    there = list(batches(Pictures(), 0, 3, 4, 2, ALONE))

    assert len(there) == 3
    for one, two in zip(chain(*here), chain(*there), strict=True):
        assert one[-1] == two[-1]
        for mine, sent in zip(one[:-1], two[:-1], strict=True):
            np.testing.assert_array_equal(sent, mine)
            assert sent.dtype == mine.dtype and sent.flags.writeable
