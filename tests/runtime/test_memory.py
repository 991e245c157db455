"""What memory is free: of the machine, and of the control groups that containers and services are."""

import sys
from pathlib import Path

import pytest

from segmend.runtime.memory import free_memory

GIGABYTE = 2**30
MACHINE = "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\nSwapFree:  1048576 kB\n"
UNLIMITED = 9 * GIGABYTE


def written(root: Path, **files: str) -> Path:
    """Write files below a folder that stands for the root; `__` in a name is `/`, `_dot_` a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(folder: str, limit: str, used: int, freeable: int = 0) -> dict[str, str]:
    return {
        f"{folder}__memory_dot_max": f"{limit}\n",
        f"{folder}__memory_dot_current": f"{used}\n",
        f"{folder}__memory_dot_stat": f"anon 5\ninactive_file {freeable}\n",
    }


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows says it in another way")


def test_the_machines_memory_and_swap_count(tmp_path: Path) -> None:
    assert free_memory(written(tmp_path, proc__meminfo=MACHINE)) == UNLIMITED


def test_a_service_has_what_its_group_and_those_round_it_leave(tmp_path: Path) -> None:
    written(tmp_path, proc__meminfo=MACHINE, proc__self__cgroup="0::/system/segmend\n")
    written(tmp_path, **group("sys__fs__cgroup__system__segmend", "max", GIGABYTE))
    assert free_memory(tmp_path) == UNLIMITED

    written(tmp_path, **group("sys__fs__cgroup__system", str(4 * GIGABYTE), 3 * GIGABYTE, GIGABYTE // 2))
    assert free_memory(tmp_path) == GIGABYTE + GIGABYTE // 2


def test_a_container_has_what_its_own_group_leaves(tmp_path: Path) -> None:
    written(tmp_path, proc__meminfo=MACHINE, proc__self__cgroup="0::/\n")
    written(tmp_path, **group("sys__fs__cgroup", str(2 * GIGABYTE), 3 * GIGABYTE))

    assert free_memory(tmp_path) == 0


def test_groups_of_the_first_version_count_too(tmp_path: Path) -> None:
    written(tmp_path, proc__meminfo=MACHINE, proc__self__cgroup="4:memory:/docker/ab\n1:cpu:/\n")
    folder = "sys__fs__cgroup__memory__docker__ab__memory_dot_"
    written(
        tmp_path, **{f"{folder}limit_in_bytes": "3000", f"{folder}usage_in_bytes": "1000", f"{folder}stat": "rss 1\n"}
    )

    assert free_memory(tmp_path) == 2000


def test_what_is_damaged_or_not_there_limits_nothing(tmp_path: Path) -> None:
    assert free_memory(tmp_path) > GIGABYTE
    written(tmp_path, proc__meminfo=MACHINE, proc__self__cgroup="0::/\nodd\n")
    assert free_memory(tmp_path) == UNLIMITED
    written(tmp_path, **group("sys__fs__cgroup", "many", 5))
    assert free_memory(tmp_path) == UNLIMITED
