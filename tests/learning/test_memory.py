"""Keeping freed memory changes no number, and it is asked for on systems that have it only."""

import ctypes
import sys

import pytest

from segmend.learning import memory


def test_a_system_without_the_setting_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())

    memory.keep_freed()


def test_other_systems_are_not_asked(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: pytest.fail("asked for a library"))

    memory.keep_freed()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is on Linux")
def test_glibc_takes_every_setting(monkeypatch):
    real, taken = ctypes.CDLL(None), []
    if not hasattr(real, "mallopt"):
        pytest.skip("this system's C library is not glibc")

    class Library:
        def mallopt(self, name, value):
            taken.append(real.mallopt(name, value))

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library())
    memory.keep_freed()

    assert taken == [1, 1, 1]
