"""The pool shares its threads step by step, and no step can break it."""

import threading

from segmend.server.work import Pool


def ended(pool):
    pool.close()
    assert not any(
        thread.name.startswith("segmend-work") and thread in pool._threads for thread in threading.enumerate()
    )


def test_steps_of_two_pieces_of_work_alternate():
    order, go, over = [], threading.Event(), threading.Semaphore(0)

    def wait():
        go.wait(5)
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

    assert over.acquire(timeout=5) and over.acquire(timeout=5)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]
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

    assert over.wait(5) and max(most) == 1
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

    assert over.wait(5)
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
