import numba
import pytest

from segmend.solvers.compiled import compiled


def homeless():
    """A function that comes from no file, so that numba finds no place to keep its machine code."""
    names = {}
    exec("def double(x):\n    return 2 * x", names)
    return names["double"]


def test_a_loop_is_compiled_even_where_nothing_can_be_kept():
    with pytest.raises(RuntimeError, match="cannot cache function"):
        numba.njit(cache=True)(homeless())

    assert compiled(homeless())(21) == 42


def test_other_troubles_are_not_hidden(monkeypatch):
    def broken(**options):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(numba, "njit", broken)

    with pytest.raises(RuntimeError, match="no compiler here"):
        compiled(homeless())
