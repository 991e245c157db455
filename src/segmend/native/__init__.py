"""The inner loops in C: one shared library, built with the package, and how a call of Python becomes one of it.

`@loop` makes a function a call of the library, and says what its arguments must be:

    @loop("grid_soften", "b1[z y x]", "f4[z y x]!")
    def soften(inside: NDArray[np.bool_], out: Real) -> None: ...

An array is its NumPy type and the names or numbers of its sides: equal names are equal sides, and `!` marks one that
is written. `i8` and `f8` alone are numbers. All this is checked here, in one place, before C sees an address; C gets
the arguments in this order, and then the sizes of the named sides in the order in which they first appear. An array
that is only read is copied when it is not contiguous. Arguments are given by position. While C works, other threads
of Python do, too.
"""

from __future__ import annotations

import ctypes
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from segmend.errors import LibraryError, ShapeError
from segmend.native.built import LIBRARY, is_current

HERE = Path(__file__).parent
ARRAY = re.compile(r"(\w+)\[([\w ]+)\](!?)")
NO_BYTES = ctypes.c_char * 0
NUMBERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "i8": (operator.index, ctypes.c_int64),
    "f8": (float, ctypes.c_double),
}

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")


def loop(name: str, *arguments: str) -> Callable[[Function], Function]:
    """Return what makes a function the call of a C function; its own body stays empty.

    C returns a whole number, or a double where the Python function returns a float; a negative whole number means
    that there was no memory.
    """

    def called(described: Function) -> Function:
        return cast("Function", Loop(described, name, arguments))

    return called


def bound(call: Callable[..., Result], *arguments: Any) -> Callable[..., Result]:
    """Return a loop with its arguments checked once, for many calls on the same arrays.

    Numbers at the end may be left out and are then given at each call. Checking costs some microseconds, which counts
    where the arrays are small (bench/solvers.py, random walker).
    """
    assert isinstance(call, Loop)
    return call.bound(arguments)


@dataclass(frozen=True)
class Array:
    """What an array must be."""

    dtype: np.dtype[Any]
    sides: tuple[str, ...]
    written: bool

    def checked(self, given: Any, sizes: dict[str, int]) -> NDArray[Any]:
        """Return the array as C may have it; its sides join the sizes, or must agree with them."""
        if not isinstance(given, np.ndarray) or given.dtype != self.dtype or given.ndim != len(self.sides):
            raise ShapeError(self._need(given, {}))
        for side, size in zip(self.sides, given.shape, strict=True):
            if sizes.setdefault(side, size) != size:
                raise ShapeError(self._need(given, sizes))
        contiguous = given.flags.c_contiguous
        if self.written and not (contiguous and given.flags.writeable):
            raise ShapeError("is written, so it needs to be contiguous and writeable; it is not.")
        return given if contiguous else np.ascontiguousarray(given)

    def _need(self, given: Any, sizes: dict[str, int]) -> str:
        known = ", ".join(f"{side} = {sizes[side]}" for side in self.sides if side in sizes and not side.isdigit())
        wanted = f"{self.dtype} [{' '.join(self.sides)}]" + (f" with {known}" if known else "")
        got = f"{given.dtype} of shape {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        return f"needs {wanted}; got {got}."


class Loop:
    """A C function, called as the Python function that describes it."""

    def __init__(self, described: Callable[..., Any], name: str, arguments: tuple[str, ...]) -> None:
        update_wrapper(self, described)
        code = described.__code__
        self._name = name
        self._parameters = code.co_varnames[: code.co_argcount]
        self._wanted = [_wanted(argument) for argument in arguments]
        sides = dict.fromkeys(side for one in self._wanted if isinstance(one, Array) for side in one.sides)
        self._fixed = {side: int(side) for side in sides if side.isdigit()}  # sides that are numbers
        self._named = [side for side in sides if not side.isdigit()]
        self._returns = described.__annotations__["return"]
        assert len(self._parameters) == len(self._wanted), name

    def __call__(self, *arguments: Any) -> Any:
        arrays, values, sizes = self._checked(arguments)
        result = self._finished(self._function(*values, *sizes))
        del arrays  # until here C read them
        return result

    def bound(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        arrays, values, sizes = self._checked(arguments)
        kept = [arrays]  # as long as the function returned

        def call(*numbers: float) -> Any:
            assert kept
            return self._finished(self._function(*values, *numbers, *sizes))

        return call

    def _checked(self, arguments: tuple[Any, ...]) -> tuple[list[NDArray[Any]], list[Any], list[int]]:
        """Return the arrays, which must live while C works on them, and what C is given."""
        arrays: list[NDArray[Any]] = []
        values: list[Any] = []
        sizes = self._fixed.copy()
        for wanted, given in zip(self._wanted, arguments, strict=False):
            if isinstance(wanted, Array):
                try:
                    array = wanted.checked(given, sizes)
                except ShapeError as error:
                    raise ShapeError(f"{self._name}: {self._parameters[len(values)]} {error}") from None
                arrays.append(array)
                values.append(_address(array))
            else:
                values.append(NUMBERS[wanted][0](given))
        return arrays, values, list(sizes.values())[len(self._fixed) :]

    @cached_property
    def _function(self) -> Callable[..., Any]:
        function = getattr(library(), self._name)
        kinds = [ctypes.c_void_p if isinstance(one, Array) else NUMBERS[one][1] for one in self._wanted]
        function.argtypes = kinds + [ctypes.c_int64] * len(self._named)
        function.restype = ctypes.c_double if self._returns == "float" else ctypes.c_int64
        return cast("Callable[..., Any]", function)

    def _finished(self, result: Any) -> Any:
        if self._returns == "float":
            return result
        if result < 0:
            raise MemoryError(f"{self._name} found no memory.")
        return result if self._returns == "int" else None


def _address(array: Any) -> int:
    """Return where a contiguous array lies; `array.ctypes.data` says the same and takes five times as long."""
    return ctypes.addressof(NO_BYTES.from_buffer(array)) if array.flags.writeable else int(array.ctypes.data)


def _wanted(argument: str) -> Array | str:
    """Return what one argument must be, from its declaration."""
    if argument in NUMBERS:
        return argument
    found = ARRAY.fullmatch(argument)
    assert found is not None, argument
    return Array(np.dtype(found[1]), tuple(found[2].split()), bool(found[3]))


@cache
def library() -> ctypes.CDLL:
    """Return the library, loaded once; LibraryError when it is missing or was compiled from other sources."""
    path = HERE / LIBRARY
    how = "build it with 'pip install .' in Segmend's folder, or with 'make dev' to change Segmend"
    if not path.is_file():
        raise LibraryError(f"Segmend needs its compiled library {path}, which is missing; {how}.")
    if not is_current(HERE):
        raise LibraryError(f"Segmend needs its library compiled from its present sources; {path} is of others; {how}.")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise LibraryError(f"Segmend's compiled library cannot be loaded here: {error}; {how}.") from None
