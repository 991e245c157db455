"""Prints all figures, by running every other file of this folder: python bench/all.py [NAME ...]

Each is a program of its own that prints its figures with the budget beside them. This one ends
with 1 when one of them could not run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NO_BENCH = ("all", "screens", "screenshot")


def programs(names: list[str]) -> list[Path]:
    """Return the benches of these names, or all there are, in order of name."""
    found = [path for path in sorted(HERE.glob("*.py")) if path.stem not in NO_BENCH]
    unknown = set(names) - {path.stem for path in found}
    if unknown:
        sys.exit(f"There is no bench {min(unknown)!r}; there are {', '.join(path.stem for path in found)}.")
    return [path for path in found if not names or path.stem in names]


def main() -> int:
    failed = []
    for program in programs(sys.argv[1:]):
        print(f"\n== {program.stem} ==", flush=True)
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, str(program)], cwd=HERE.parent, check=False)
        print(f"   ({time.perf_counter() - begun:.0f} s)")
        if done.returncode != 0:
            failed.append(program.stem)
    if failed:
        print(f"\nCould not run: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
