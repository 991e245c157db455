"""Processes of one machine that keep to their shares of the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from segmend.runtime.cores import usable_cores

CLAIMING = """
import sys
import numpy
from threadpoolctl import threadpool_info
from segmend.runtime.cores import claim_cores, usable_cores
claim_cores(int(sys.argv[1]))
print(*usable_cores(), *("/", *{one["num_threads"] for one in threadpool_info()}), flush=True)
sys.stdin.read()
"""


def claiming(stack: ExitStack, count: int) -> tuple[list[int], list[int]]:
    """Return the cores of a process that claims so many and goes on, and the threads of its libraries."""
    environment = {name: text for name, text in os.environ.items() if "NUM_THREADS" not in name}
    command = [sys.executable, "-c", CLAIMING, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    stack.enter_context(process)
    cores, _, threads = process.stdout.readline().partition("/")
    return [int(core) for core in cores.split()], [int(number) for number in threads.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process to cores")
@pytest.mark.skipif(len(usable_cores()) < 2, reason="needs two cores")
def test_no_two_processes_have_a_core_until_one_ends():
    every = usable_cores()
    with ExitStack() as stack:
        one, threads = claiming(stack, 1)
        rest, _ = claiming(stack, len(every))
        late, few = claiming(stack, 1)

    assert len(one) == 1 and {*one, *rest} == {*every} and not {*one} & {*rest}
    assert late == list(every)  # none was left
    assert threads == few == [1]
    with ExitStack() as stack:
        assert claiming(stack, 1)[0] == one  # which is free again
