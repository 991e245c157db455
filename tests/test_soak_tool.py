"""The soak, for as long as a test may take: kills in the middle of uploads, exports and commands, with nothing lost."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_short_soak_loses_nothing():
    kinds = ["--only", "uploads and exports", "--only", "commands"]
    command = [sys.executable, "tools/soak.py", "--kills", "4", "--seed", "8", *kinds]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)

    told = done.stdout
    assert done.returncode == 0, told + done.stderr
    kills = {kind: int(n) for kind, n in re.findall(r"^(\w.+?) +(\d+) kills, 0 with a loss", told, re.MULTILINE)}
    assert sum(kills.values()) == 4 and min(kills.values()) > 0, told
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (events accepted|uploads|whole exports)", told)}
    assert len(counts) == 3 and min(counts.values()) > 0, told
