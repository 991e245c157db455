"""What the house itself costs: importing, helping, one interaction, and with --fresh a start in an empty folder.

python bench/house.py [--fresh]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from segmend.cli.machine import interaction

ROOT = Path(__file__).parent.parent


def milliseconds(command: list[str], runs: int = 7) -> float:
    """Return the quickest of some runs by the clock."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return 1000 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="also time 'make start' in a fresh clone (a minute)")
    fresh = parser.parse_args().fresh
    print(f"import segmend        {milliseconds([sys.executable, '-c', 'import segmend']):7.0f} ms   (at most 300)")
    print(f"segmend --help        {milliseconds([sys.executable, '-m', 'segmend', '--help']):7.0f} ms   (at most 300)")
    timed = interaction()
    print(f"click, 2D 512 x 512   {timed.median_ms:7.1f} ms   (at most 40)   {timed.method} {timed.engine}")
    if fresh:
        subprocess.run(["bash", str(ROOT / "tools" / "measure_start.sh")], check=True)


if __name__ == "__main__":
    main()
