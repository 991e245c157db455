"""The pool shares its threads step by step, and no step can break it."""

import logging
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from segmend.errors import SettingsError
from segmend.server import watchdog
from segmend.server.settings import ServerSettings
from segmend.server.work import Pool


def ended(pool):
    pool.close()
    assert not any(
        thread.name.startswith("segmend-work") and thread in pool._threads for thread in threading.enumerate()
    )


def test_steps_of_two_pieces_of_work_alternate():
    order, go, over = [], threading.Event(), threading.Semaphore(0)

    def wait():
        go.wait(60)
        yield

    def steps(name):
        for n in range(3):
            order.append(f"{name}{n}")
            yield
        over.release()

    pool = Pool(1)
    pool.submit(wait())
    pool.submit(steps("a"))
    pool.submit(steps("b"))
    go.set()

    assert over.acquire(timeout=60) and over.acquire(timeout=60)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]
    ended(pool)


def test_who_has_many_pieces_of_work_gets_no_more_steps_than_others():
    order, go, over = [], threading.Event(), threading.Semaphore(0)

    def wait():
        go.wait(60)
        yield

    def steps(name):
        for n in range(2):
            order.append(f"{name}{n}")
            yield
        over.release()

    pool = Pool(1)
    pool.submit(wait())
    for name in ("ada's first", "ada's second", "ada's third"):
        pool.submit(steps(name), whose="ada")
    pool.submit(steps("ben's"), whose="ben")
    go.set()

    assert all(over.acquire(timeout=60) for _ in range(4))
    assert order[:4] == ["ada's first0", "ben's0", "ada's second0", "ben's1"]
    ended(pool)


def test_a_piece_of_work_never_runs_twice_at_a_time():
    inside, most, over = [], [], threading.Event()

    def steps():
        for _ in range(200):
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            yield
        over.set()

    pool = Pool(4)
    pool.submit(steps())

    assert over.wait(60) and max(most) == 1
    ended(pool)


def test_work_that_fails_is_logged_without_its_message(caplog):
    over = threading.Event()

    def failing():
        raise ValueError("Jane Doe")
        yield

    def fine():
        over.set()
        yield

    pool = Pool(1)
    pool.submit(failing())
    pool.submit(fine())

    assert over.wait(60)
    ended(pool)
    assert "A piece of work failed: ValueError at" in caplog.text and "Jane" not in caplog.text


def test_after_closing_nothing_starts():
    started = threading.Event()

    def steps():
        started.set()
        yield

    pool = Pool(1)
    pool.close()
    pool.submit(steps())

    assert not started.wait(0.1)


def stuck(go, over):
    patient = "Jane Doe"
    assert go.wait(60) and patient
    yield
    over.set()


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_step_that_does_not_come_back_is_logged_once_with_all_stacks(caplog):
    caplog.set_level(logging.WARNING)
    go, over = threading.Event(), threading.Event()
    pool = Pool(2, late_seconds=0.2)

    pool.submit(stuck(go, over))
    until(lambda: caplog.records)
    time.sleep(0.5)
    (late,) = caplog.records
    go.set()
    assert over.wait(60)
    until(lambda: len(caplog.records) == 2)
    ended(pool)

    said = late.getMessage()
    assert late.levelname == "ERROR" and "segmend-work-" in said and "did not come back for 0.2 s" in said
    assert "server/test_work.py:" in said and " stuck\n" in said and "MainThread:" in said
    assert "Jane" not in said
    assert "came back after" in caplog.records[1].getMessage()


def test_steps_that_come_back_in_time_are_not_logged(caplog, monkeypatch):
    """By a clock of its own: twenty steps of two thirds of what a step may take."""
    over, clock = threading.Event(), SimpleNamespace(now=0.0)
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def steps():
        for _ in range(20):
            clock.now += 0.2
            time.sleep(0.02)  # the watchdog looks every 0.03 s
            yield
        over.set()

    pool = Pool(1, late_seconds=0.3)
    pool.submit(steps())
    assert over.wait(60)
    clock.now += 10.0  # a worker that waits for work is not late
    time.sleep(0.2)
    ended(pool)

    assert not caplog.records


def test_a_step_that_waits_outside_leaves_its_thread_to_others():
    go, order = threading.Event(), []

    def asking():
        with pool.waiting_outside():
            assert go.wait(60)
        order.append("asking")
        yield

    def steps(name):
        order.append(name)
        yield

    pool = Pool(1)
    for _ in range(3):
        pool.submit(asking())
    pool.submit(steps("a"))
    pool.submit(steps("b"))
    until(lambda: len(order) == 2)
    go.set()
    until(lambda: len(order) == 5)
    ended(pool)

    assert order == ["a", "b", *["asking"] * 3]


def test_no_more_steps_run_than_there_are_workers_after_some_have_waited_outside():
    inside, most, over = [], [], threading.Semaphore(0)

    def steps():
        for _ in range(20):
            with pool.waiting_outside():
                time.sleep(0.0005)
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.0005)
            inside.pop()
            yield
        over.release()

    pool = Pool(2)
    for _ in range(8):
        pool.submit(steps())

    assert all(over.acquire(timeout=60) for _ in range(8)) and max(most) <= 2
    ended(pool)


def test_one_whose_steps_take_long_leaves_the_other_thread_to_those_whose_do_not():
    """However long the steps of one session are, those of others wait for each other alone."""
    go, order = threading.Event(), []

    def long():
        for _ in range(2):
            assert go.wait(60)
            yield

    def short(name):
        for n in range(3):
            order.append(f"{name}{n}")
            yield

    pool = Pool(2)
    pool.submit(long())
    for name in ("a", "b"):
        pool.submit(short(name))
    until(lambda: len(order) == 6)
    go.set()
    ended(pool)

    assert [name[1] for name in order] == ["0", "0", "1", "1", "2", "2"]


FROZEN = """
import ctypes, time
from segmend.server.watchdog import report_freeze
with report_freeze(2):
    time.sleep(3)  # fine: other threads run
    print("awake", flush=True)
    def freezes():
        ctypes.PyDLL(None).usleep(3_500_000)  # holds the global lock, as a library does that waits inside
    freezes()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no usleep to hold the lock in")
def test_a_process_in_which_no_thread_can_run_tells_its_stacks_nevertheless():
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0 and done.stdout == "awake\n"
    assert "line 8 in freezes" in done.stderr and "line 5 in" not in done.stderr


def test_the_time_that_a_step_may_take_is_above_0(tmp_path):
    with pytest.raises(SettingsError, match="late_seconds need to be above 0; got 0"):
        ServerSettings(tmp_path, late_seconds=0)


def test_what_is_for_when_nobody_waits_begins_last():
    order, gate = [], threading.Event()

    def steps(name):
        gate.wait(60)
        order.append(name)
        yield

    pool = Pool(1)
    pool.submit(steps("first"))
    pool.submit(steps("warm"), when_idle=True)
    for name in ("a", "b"):
        pool.submit(steps(name))
    gate.set()
    until(lambda: len(order) == 4)
    pool.close()
    assert order == ["first", "a", "b", "warm"]
