"""What `segmend doctor` finds, on processors written by hand and on this machine."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from segmend.cli import machine as doctor
from segmend.cli.machine import Interaction, Machine, Processor

CPUINFO = """processor : 0
model name : Imagined Xeon 9000
flags : fpu sse4_2 avx2 avx512f avx512_bf16 avx512_vnni amx_tile amx_bf16
"""

FINE = Machine(
    system="Linux 6, x86_64",
    processor=Processor("Imagined Xeon 9000", 2, ("AVX2",)),
    gpus=(),
    memory_gib=16.0,
    disk_free_gib=50.0,
    folder="/data",
    browser="chromium",
    versions={"python": "3.12.1", "torch": None},
    interaction=Interaction("mend", "OpenVINO", 2000.0, 5.0, 20.0, 12, 0.9),
)


def test_a_processor_is_known_by_its_flags(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(CPUINFO)

    found = doctor.processor(file)

    assert found.name == "Imagined Xeon 9000"
    assert found.features == ("AVX2", "AVX-512", "bf16", "int8", "AMX")
    assert found.cores >= 1


def test_an_old_processor_has_none_of_them(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("model name : Old\nflags : fpu sse sse2\n")

    assert doctor.processor(file).features == ()


def test_a_machine_without_cpuinfo_still_has_a_name(tmp_path):
    assert doctor.processor(tmp_path / "none").name


def test_a_machine_that_lacks_nothing_gets_no_advice():
    assert FINE.advice == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"memory_gib": 1.5}, "Memory is short: 1.5 GiB"),
        ({"disk_free_gib": 0.2}, "The disk of /data is nearly full: 0.2 GiB are free"),
        ({"browser": None}, "No browser was found"),
        ({"interaction": replace(FINE.interaction, method="graphcut")}, "graphcut was timed instead"),
    ],
)
def test_what_is_in_the_way_is_said(change, sentence):
    (advice,) = replace(FINE, **change).advice

    assert sentence in advice


def test_gpus_are_read_from_the_drivers_own_list(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1-2)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert doctor.gpus() == ("GPU 0: NVIDIA H200",)


def test_a_driver_that_fails_means_no_gpu(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert doctor.gpus() == ()


def test_versions_name_what_is_installed_and_what_is_not():
    found = doctor.versions()

    assert found["numpy"]
    assert found["segmend"]
    assert "torch" in found


def test_this_machine_is_examined_for_real(tmp_path):
    machine = doctor.examine(tmp_path / "not" / "there" / "yet")

    assert machine.memory_gib > 0.5
    assert machine.disk_free_gib == pytest.approx(shutil.disk_usage(tmp_path).free / 2**30, abs=1)
    assert not (tmp_path / "not").exists()
    assert 0 < machine.interaction.median_ms < 10_000
    assert machine.interaction.dice > 0.5


def test_the_interaction_falls_back_to_a_method_that_needs_no_weights():
    timed = doctor.interaction((1, 96, 96), methods=("never trained", "graphcut"))

    assert timed.method == "graphcut"
    assert timed.engine == ""


def test_the_first_interaction_of_a_process_is_told_apart_from_the_later_ones():
    """The first took longer than the time that was allowed for all, so it was told as the interaction."""
    code = "from segmend.cli.machine import interaction; i = interaction(); print(i.first_ms, i.median_ms, i.later)"

    first, median, later = map(float, subprocess.check_output([sys.executable, "-c", code], text=True).split())

    assert later >= 3 and median < first / 2


def test_memory_never_exceeds_the_machines_own():
    total = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")]

    assert doctor.memory() <= int(total[0].split()[1]) * 1024
