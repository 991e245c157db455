"""The library of inner loops: what it says when it is missing, and what it lets through to C."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import segmend
from segmend import native
from segmend.errors import LibraryError, ShapeError
from segmend.native import bound, built, loop
from segmend.solvers import grid_loops, maxflow_loops
from segmend.solvers.maxflow import cut, offsets

PACKAGE = Path(segmend.__file__).parent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the folder of the library, from which it is loaded in this test."""
    copy = shutil.copytree(PACKAGE / "native", tmp_path / "native")
    monkeypatch.setattr(native, "HERE", copy)
    native.library.cache_clear()
    yield copy
    native.library.cache_clear()


@loop("grid_soften", "b1[z y x]", "f4[z y x]!")
def soften(inside, out) -> None:
    """Another declaration of a function that is there."""


@loop("grid_geodesic", "f4[z y x]!", "b1[z y x]", "f4[c z y x]", "i8[k 3]", "f4[k]", "f8", "i8")
def geodesic(distance, free, values, offsets, lengths, contrast, most) -> int:
    """Another one, with numbers at its end."""


def test_a_missing_library_is_said_with_how_to_build_it(folder):
    (folder / built.LIBRARY).unlink()

    with pytest.raises(LibraryError, match=r"needs its compiled library .*loops.so, which is missing; .*pip install"):
        native.library()


def test_a_library_of_other_sources_is_refused(folder):
    with (folder / "grid.c").open("a") as file:
        file.write("/* changed */\n")

    assert not built.is_current(folder)
    with pytest.raises(LibraryError, match=r"compiled from its present sources; .* is of others; .*make dev"):
        native.library()


def test_a_file_that_is_no_library_is_refused(folder):
    for source in built.sources(folder):
        source.unlink()
    (folder / built.LIBRARY).write_bytes(b"no library")

    with pytest.raises(LibraryError, match="cannot be loaded here: .*; build it with"):
        native.library()


def test_an_installed_package_has_no_sources_to_compare(folder):
    for source in built.sources(folder):
        source.unlink()

    assert built.is_current(folder)
    assert native.library()


def test_line_ends_do_not_count_as_other_sources(folder):
    source = folder / "grid.c"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))

    assert built.is_current(folder)


def test_the_command_line_prints_one_sentence_when_the_library_is_missing(tmp_path):
    unused = shutil.ignore_patterns("__pycache__", "web", "loops.so")
    shutil.copytree(PACKAGE, tmp_path / "segmend", ignore=unused)
    code = "from segmend.cli import run; raise SystemExit(run(['doctor']))"

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode != 0
    assert "which is missing; build it with" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("inside", "out", "words"),
    [
        (np.ones((1, 2, 3)), np.zeros((1, 2, 3), "f4"), "inside needs bool .z y x.; got float64 of shape"),
        (np.ones((2, 3), bool), np.zeros((1, 2, 3), "f4"), r"inside needs bool .z y x.; got bool of shape \(2, 3\)"),
        ([[[True]]], np.zeros((1, 1, 1), "f4"), "inside needs bool .z y x.; got list"),
        (
            np.ones((1, 2, 3), bool),
            np.zeros((1, 2, 4), "f4"),
            r"out needs .* with z = 1, y = 2, x = 3; got .*\(1, 2, 4\)",
        ),
        (
            np.ones((1, 2, 3), bool),
            np.zeros((1, 3, 2), "f4").swapaxes(1, 2),
            "out is written, so it needs to be contig",
        ),
    ],
)
def test_what_does_not_fit_never_reaches_c(inside, out, words):
    with pytest.raises(ShapeError, match=f"grid_soften: {words}"):
        soften(inside, out)


def test_an_array_that_must_not_be_written_is_refused():
    out = np.zeros((1, 2, 3), np.float32)
    out.flags.writeable = False

    with pytest.raises(ShapeError, match="contiguous and writeable"):
        soften(np.ones((1, 2, 3), bool), out)


def test_a_side_that_is_a_number_must_be_that_long():
    distance = np.zeros((1, 1, 2), np.float32)

    with pytest.raises(ShapeError, match=r"offsets needs int64 .k 3. with k = 1; got int64 of shape \(1, 2\)"):
        geodesic(distance, distance > 1, distance[None], np.zeros((1, 2), np.int64), np.ones(1, np.float32), 1.0, 1)


def test_an_array_that_is_only_read_need_not_be_contiguous():
    inside = (np.arange(24).reshape(2, 3, 4) % 5 < 2).T
    soft, same = np.zeros((2, *inside.shape), np.float32)

    soften(inside, soft)
    soften(inside.copy(order="C"), same)

    assert not inside.flags.c_contiguous
    assert np.array_equal(soft, same)


def test_an_array_that_is_only_read_may_be_kept_from_writing():
    inside = np.arange(24).reshape(2, 3, 4) % 5 < 2
    soft, same = np.zeros((2, *inside.shape), np.float32)
    soften(inside, soft)
    inside.flags.writeable = False

    soften(inside, same)

    assert np.array_equal(soft, same)


def test_arrays_of_nothing_are_taken():
    nothing = np.zeros((0, 3, 4), bool)

    soften(nothing, np.zeros(nothing.shape, np.float32))


def test_numbers_left_out_of_a_bound_call_are_given_later():
    free, distance = np.array([[[False, True, True]]]), np.zeros((1, 1, 3), np.float32)
    back, values = np.array([(0, 0, -1)]), np.array([[[[0, 1, 3]]]], np.float32)
    call = bound(grid_loops.geodesic, distance, free, values, back, np.zeros(1, np.float32))

    found = []
    for contrast in (1.0, 2.0):
        distance[:] = [[[0, np.inf, np.inf]]]
        call(contrast, 1)
        found.append(distance.tolist())

    assert found == [[[[0, 1, 3]]], [[[0, 2, 6]]]]


def test_no_memory_is_an_error_and_no_crash(tmp_path):
    resource = pytest.importorskip("resource")
    del resource
    code = """
import resource
import numpy as np
from segmend.solvers import maxflow_loops
n = 20_000_000
room, supply, tree = np.zeros((n, 2), np.int32), np.zeros(n, np.int32), np.zeros(n, np.uint8)
steps = np.zeros(2, np.int64)
maxflow_loops.fill(room[:1], supply[:1], steps, tree[:1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, -1))
try:
    maxflow_loops.fill(room, supply, steps, tree)
except MemoryError as error:
    print(error)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux to limit memory")

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "maxflow_fill found no memory.\n"


def test_other_threads_run_while_c_works():
    shape = (40, 90, 90)
    random = np.random.default_rng(0)
    unary = random.integers(-9, 10, shape, np.int32)
    arcs = random.integers(0, 10, (3, *shape), np.int32)
    beats, done = [], threading.Event()

    def beat():
        while not done.wait(0.002):
            beats.append(time.perf_counter())

    thread = threading.Thread(target=beat)
    thread.start()
    begun = time.perf_counter()
    cut(unary, arcs, steps=offsets(shape))
    ended = time.perf_counter()
    done.set()
    thread.join()

    assert sum(begun < at < ended for at in beats) > 5
    assert maxflow_loops.SOURCE == 1
