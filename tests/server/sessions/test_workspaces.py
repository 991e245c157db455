"""Workspaces stay open between prompts until their memory is wanted."""

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.methods import load
from segmend.server.processes.held import array_bytes
from segmend.server.sessions.workspaces import Workspaces
from tests.server.running import rooms


class Hoarder:
    """An image's workspace that holds an array of 800 bytes, as slots and in a list."""

    __slots__ = ("kept",)

    def __init__(self):
        self.kept = [np.zeros(50), {"more": (np.zeros((5, 10)), "text", np)}]


@pytest.fixture
def image():
    return rooms()


def test_a_workspace_is_opened_once_a_session_and_method(image):
    workspaces = Workspaces(10**6)

    first = workspaces.open("a", "flood", lambda: image)

    assert workspaces.open("a", "flood", lambda: image) is first
    assert workspaces.open("b", "flood", lambda: image) is not first
    assert workspaces.open("a", "slow", lambda: image) is not first


def test_the_least_used_goes_when_memory_runs_out(image):
    workspaces = Workspaces(1000)
    first = workspaces.open("a", "flood", lambda: image)
    second = workspaces.open("b", "flood", lambda: image)
    first.inner.hoard, second.inner.hoard = np.zeros(75), np.zeros(75)  # 600 bytes each, found only after an answer
    workspaces.open("a", "flood", lambda: image)

    workspaces.measure("a", "flood", image)
    assert workspaces.size_bytes == 600
    workspaces.measure("b", "flood", image)

    assert workspaces.size_bytes == 600  # only the last one weighed is left
    assert workspaces.open("b", "flood", lambda: image) is second
    assert workspaces.open("a", "flood", lambda: image) is not first


def test_one_that_is_larger_than_everything_allowed_is_kept_while_it_is_used(image):
    workspaces = Workspaces(10)
    only = workspaces.open("a", "flood", lambda: image)
    only.inner.hoard = np.zeros(100)
    workspaces.measure("a", "flood", image)

    assert workspaces.open("a", "flood", lambda: image) is only


def test_a_closed_session_is_forgotten(image):
    workspaces = Workspaces(10**6)
    first = workspaces.open("a", "flood", lambda: image)
    workspaces.forget("a")
    workspaces.measure("a", "flood", image)  # what comes late changes nothing

    assert workspaces.size_bytes == 0 and workspaces.open("a", "flood", lambda: image) is not first


def test_arrays_are_found_wherever_they_are(tmp_path):
    np.save(tmp_path / "mapped.npy", np.zeros(1000))
    mapped = np.load(tmp_path / "mapped.npy", mmap_mode="r")
    image = Image(np.zeros((1, 2, 3, 4)))

    assert array_bytes(Hoarder(), image) == 800
    assert array_bytes([Hoarder(), image, image.voxels[0], mapped, load("flood")], image) == 800
