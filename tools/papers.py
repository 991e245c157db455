"""Put what `segmend reproduce` measured into the papers' pages: python tools/papers.py RUN [RUN ...]

A RUN is the folder that `segmend reproduce PAPER --out RUN` wrote. Of its report.md the claims and the paper's table
beside ours go into docs/PAPER-measured.md, between the lines `<!-- measured -->` and `<!-- end -->`; pictures of
patients stay where they are. How a claim was tested is too long for a cell of a table: it goes into a list below it.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- measured -->", "<!-- end -->"
TABLE = "The paper's table, and ours"
CELLS = re.compile(r"(?<!\\)\|")  # what lies between the cells of a table's row


def section(report: str, title: str) -> str:
    """Return a section of a report, its heading included and a level lower."""
    begin = report.index(f"## {title}\n")
    end = report.find("\n## ", begin)
    return "#" + report[begin : end if end >= 0 else None].strip()


def claims(report: str) -> str:
    """Return the section of the claims with a short table, and under it a list of how each one was tested."""
    lines, tests = [], []
    for line in section(report, "The claims").splitlines():
        cells = [cell.strip() for cell in CELLS.split(line)[1:-1]]
        claim, _, test = cells[1].partition("<br>") if len(cells) > 1 else ("", "", "")
        if test:
            tests.append(textwrap.fill(f"{len(tests) + 1}. {plain(test)}", 120, subsequent_indent="    "))
            cells[1] = f"{len(tests)}. {claim}"
            line = f"| {' | '.join(cells)} |"
        lines.append(line)
    if tests:
        lines += ["", "What was compared, and the mean of each data set:", "", *tests]
    return "\n".join(lines)


def plain(cell: str) -> str:
    """Return a cell's text as it stands outside a table."""
    return cell.replace("\\|", "|")


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
        lead = textwrap.fill(f"{said} {summary}", 120, break_on_hyphens=False)
        parts = [lead, claims(report), section(report, TABLE)]
        page.write_text(put(page.read_text(), "\n\n".join(parts)))
        print(f"{page}: {summary}")


if __name__ == "__main__":
    main(sys.argv[1:])
