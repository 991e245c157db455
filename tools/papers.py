"""Put what `segmend reproduce` measured into the papers' pages: python tools/papers.py RUN [RUN ...]

A RUN is the folder that `segmend reproduce PAPER --out RUN` wrote. Of its report.md the claims and the paper's table
beside ours go into docs/PAPER-measured.md, between the lines `<!-- measured -->` and `<!-- end -->`; pictures of
patients stay where they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- measured -->", "<!-- end -->"
SECTIONS = ("The claims", "The paper's table, and ours")


def section(report: str, title: str) -> str:
    """Return a section of a report, its heading included and a level lower."""
    begin = report.index(f"## {title}\n")
    end = report.find("\n## ", begin)
    return "#" + report[begin : end if end >= 0 else None].strip()


def put(page: str, measured: str) -> str:
    """Return a page with what was measured between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"The page needs a line {BEGIN} and a line {END} after it.")
    return f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}"


def main(runs: list[str]) -> None:
    """Write every run into its paper's page."""
    if not runs:
        raise SystemExit(__doc__)
    for run in map(Path, runs):
        about = json.loads((run / "run.json").read_text())
        made = about["made_with"]
        report = (run / "report.md").read_text()
        said = f"`segmend reproduce {made['paper']} --effort {made['effort']:g}`."
        summary = report.split("\n\n")[1].replace("\n", " ")
        page = DOCS / f"{made['paper']}-measured.md"
        parts = [f"{said} {summary}", *(section(report, title) for title in SECTIONS)]
        page.write_text(put(page.read_text(), "\n\n".join(parts)))
        print(f"{page}: {summary}")


if __name__ == "__main__":
    main(sys.argv[1:])
