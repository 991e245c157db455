"""One budget for everything that is kept because it may be wanted again."""

import gc
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import CELLS, Networks
from segmend.runtime import budget as memory_module
from segmend.runtime.budget import MEMORY, Memory, limit_arenas, resident_bytes, trim


class TestMemory:
    def test_the_least_used_goes_first_whoever_kept_it(self) -> None:
        memory = Memory(100)
        memory.put("images", 1, "a", 40)
        memory.put("features", 1, "b", 40)
        assert memory.get("images", 1) == "a"
        memory.put("workspaces", 1, "c", 40)

        assert [memory.get(owner, 1) for owner in ("images", "features", "workspaces")] == ["a", None, "c"]
        assert memory.size_bytes == 80 and memory.size_of("images") == 40 and memory.count_of("features") == 0

    def test_the_newest_stays_however_large_it_is(self) -> None:
        memory = Memory(100)
        memory.put("a", 1, "small", 10)
        memory.put("a", 2, "large", 1000)
        assert memory.get("a", 1) is None and memory.get("a", 2) == "large"

    def test_what_cannot_go_takes_room_from_what_can(self) -> None:
        memory = Memory(100)
        memory.put("sessions", 1, None, 70, droppable=False)
        memory.put("features", 1, "a", 20)
        memory.put("features", 2, "b", 20)
        assert memory.get("features", 1) is None and memory.size_bytes == 90
        memory.put("sessions", 1, None, 200, droppable=False)  # it has grown
        assert memory.size_bytes == 200

    def test_what_is_demoted_goes_first_unless_it_is_asked_for_again(self) -> None:
        memory = Memory(100)
        for number in range(4):
            memory.put("a", number, number, 25)
        memory.demote("a", [2, 3, "not kept"])
        assert memory.get("a", 2) == 2
        memory.put("a", 4, 4, 25)
        assert [memory.get("a", number) for number in range(5)] == [0, 1, 2, None, 4]

    def test_a_smaller_limit_counts_at_once(self) -> None:
        memory = Memory(100)
        for number in range(10):
            memory.put("a", number, number, 10)
        memory.limit_bytes = 30
        assert memory.size_bytes == 30 and memory.get("a", 6) is None and memory.get("a", 7) == 7

    def test_nothing_is_counted_twice_or_after_it_is_forgotten(self) -> None:
        memory = Memory(1000)
        for size in (10, 20, 30):
            memory.put("a", 1, size, size)
        memory.put("a", 2, 2, 5)
        memory.put("b", 1, 1, 7)
        assert memory.size_bytes == 42
        memory.forget_where("a", lambda key: key == 1)
        assert memory.size_bytes == 12
        memory.keep_newest("a", 0)
        memory.forget_later("b")
        assert memory.size_bytes == 0

    def test_threads_may_all_keep_and_forget(self) -> None:
        memory = Memory(500)

        def work(owner: int) -> None:
            for number in range(300):
                memory.put(owner, number % 40, number, number % 17)
                memory.get(owner, number % 7)
                if number % 50 == 0:
                    memory.forget(owner)

        threads = [threading.Thread(target=work, args=(owner,)) for owner in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory.size_bytes == sum(memory.size_of(owner) for owner in range(6)) <= 500


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux gives memory back when it is told to")
def test_freed_memory_is_given_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    monkeypatch.setattr(memory_module, "trim", lambda: trims.append(1))
    monkeypatch.setattr(memory_module, "GIVE_BACK_SECONDS", 0.0)
    memory = Memory(memory_module.WORTH_BYTES)
    for number in range(4):
        memory.put("a", number, None, memory_module.WORTH_BYTES)
    assert len(trims) == 3

    small = [bytearray(1 << 16) for _ in range(1000)]  # 64 MB in pieces that stay with the process
    before = resident_bytes()
    last = small.pop()
    small.clear()
    trim()
    after = resident_bytes()
    assert before is not None and after is not None and before - after > 40 << 20, (before, after, len(last))


def test_the_resident_memory_is_what_the_system_says() -> None:
    known = resident_bytes()
    if not Path("/proc/self/status").exists():
        assert known is None
        return
    block = np.ones(30 << 20, np.uint8)
    now = resident_bytes()
    assert known is not None and now is not None and 25 << 20 < now - known < 60 << 20
    assert block.any()
    limit_arenas()  # changes nothing that can be seen, and fails nowhere


class Counting:
    """A network that counts how often it reads, and says nothing."""

    name = "counting"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.runs += 1
        return {"f0": np.zeros((1, 8, CELLS, CELLS), np.float32)}


def test_workspaces_of_one_image_share_what_was_read_of_it() -> None:
    engine = Counting()
    networks = Networks(engine, engine)  # type: ignore[arg-type]
    image, other = (Image(np.ones((3, 1, 40, 50), np.uint8)) for _ in range(2))
    one, two = PlanePredictor(networks, image), PlanePredictor(networks, image)
    threads = [threading.Thread(target=each.prepare) for each in (one, two, one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert engine.runs == 1
    PlanePredictor(networks, other).prepare()
    assert engine.runs == 2
    kept = MEMORY.size_of(one.windows._owner)
    assert kept >= 8 * CELLS * CELLS * 4
    owner = one.windows._owner
    del one, two, threads
    gc.collect()
    assert MEMORY.size_bytes >= 0 and MEMORY.size_of(owner) == 0  # gone with the last that used it
