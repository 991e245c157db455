"""A report as blocks, written as one HTML file that needs nothing else, and as Markdown with its pictures beside it.

The HTML has no scripts and fetches nothing: plots are SVG, pictures PNG, both inside it; it follows the reader's
choice of a light or a dark screen. The Markdown shows the same blocks and keeps plots and pictures as files.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from pathlib import Path

from segmend.core.atomic import write_bytes
from segmend.errors import FileError

NONE = "–"  # stands in tables where there is no number
NUMBER = re.compile(r"^(?:(?:[<|]|r )?\s*[+−-]?\d[\d.,]*(?:\s*(?:±|/|to)\s*[+−-]?[\d.,]+)*\s*(?:%|s|ms|MB)?|–|)$")
FIRST = ' class="first"'  # the HTML class of the first column of a group, which is set off
INK, LINE = "#0a0b0c", "#d0d1d2"  # what plots draw text and lines with; pages put their own colours there


@dataclass(frozen=True)
class Cell:
    """A table's cell; `note` is a smaller second line, `svg` a small drawing that only the HTML shows."""

    text: str
    note: str = ""
    tone: str = ""  # good, bad, open or best
    colour: str = ""  # of a dot before the text
    ring: bool = False  # instead of the dot: the colour's second name
    svg: str = ""


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Text:
    """Paragraphs, an empty line between them; lines that begin with "- " are a list; `code` in backticks."""

    text: str


@dataclass(frozen=True)
class Table:
    """`groups` are labels over that many columns each, from the left."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    groups: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Plot:
    """A drawing; `says` is for those who cannot see it."""

    name: str  # its file beside the Markdown, without suffix
    says: str
    svg: str


@dataclass(frozen=True)
class Shown:
    """A picture with its title."""

    title: str
    png: bytes


@dataclass(frozen=True)
class Gallery:
    pictures: Sequence[Shown]


Block = Heading | Text | Table | Plot | Gallery


@dataclass(frozen=True)
class Page:
    title: str
    lead: str  # the result in a sentence or two
    blocks: Sequence[Block]


def write(page: Page, folder: Path) -> tuple[Path, ...]:
    """Write report.html, report.md and what the Markdown shows into a folder, and return the paths."""
    files: dict[Path, bytes] = {
        folder / "report.html": html(page).encode(),
        folder / "report.md": markdown(page).encode(),
    }
    for block in page.blocks:
        match block:
            case Plot(name=name, svg=svg):
                files[folder / "plots" / f"{name}.svg"] = svg.replace(INK, "#777").replace(LINE, "#bbb").encode()
            case Gallery(pictures=pictures):
                files |= {folder / path: shown.png for path, shown in _files(pictures)}
            case _:
                pass
    for path, data in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"The folder {path.parent} could not be made: {error.strerror}.") from None
        write_bytes(path, data)
    return tuple(files)


def _files(pictures: Sequence[Shown]) -> list[tuple[str, Shown]]:
    return [(f"pictures/{number}.png", shown) for number, shown in enumerate(pictures, start=1)]


def _cell(value: Cell | str) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _numeric(table: Table) -> list[bool]:
    """Return which columns hold numbers, which stand at the right."""
    columns = [[_cell(row[i]).text for row in table.rows] for i in range(len(table.head))]
    return [any(c for c in column) and all(NUMBER.match(c) for c in column) for column in columns]


def html(page: Page) -> str:
    """Return the page as one HTML document.

    >>> "<h1>Cuts &amp; walks</h1>" in html(Page("Cuts & walks", "Both work.", []))
    True
    """
    body = "\n".join(_html(block) for block in page.blocks)
    title, style = escape(page.title), (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>{style}</style></head>\n"
        f'<body><main><h1>{title}</h1>\n<p class="lead">{_inline(page.lead)}</p>\n'
        f"{body}\n</main></body></html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Text(text):
            return _paragraphs(text)
        case Table():
            return _table(block)
        case Plot(says=says, svg=svg):
            drawn = svg[svg.index("<svg") :].replace(INK, "currentColor").replace(LINE, "var(--line)")
            return f'<figure role="img" aria-label="{escape(says)}">{drawn}</figure>'
        case Gallery(pictures):
            return f'<div class="gallery">{"".join(map(_picture, pictures))}</div>'


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _paragraphs(text: str) -> str:
    return "\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text.strip()))


def _paragraph(text: str) -> str:
    """Return a paragraph's plain lines, then its list; a line without a dash goes on with the item before it."""
    plain, *items = re.split(r"^\s*- ", text, flags=re.MULTILINE)
    shown = f"<p>{_inline(_joined(plain))}</p>" if plain.strip() else ""
    listed = "".join(f"<li>{_inline(_joined(item))}</li>" for item in items)
    return shown + (f"<ul>{listed}</ul>" if items else "")


def _joined(text: str) -> str:
    return " ".join(text.split())


def _table(table: Table) -> str:
    kinds = _kinds(table)
    groups = "".join(
        f'<th colspan="{span}" scope="colgroup"{FIRST * (i > 0)}>{escape(label)}</th>'
        for i, (label, span) in enumerate(table.groups)
    )
    groups = f'<tr class="groups">{groups}</tr>' if groups else ""
    head = "".join(f'<th scope="col"{k}>{escape(text)}</th>' for text, k in zip(table.head, kinds, strict=True))
    rows = "\n".join(
        "<tr>" + "".join(_td(_cell(value), k) for value, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f'<div class="wide"><table><thead>{groups}<tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _kinds(table: Table) -> list[str]:
    """Return the class of each column: numbers stand at the right, a group's first column at a distance."""
    ends = list(accumulate(span for _, span in table.groups))
    kinds = []
    for column, numeric in enumerate(_numeric(table)):
        names = [name for name, so in (("number", numeric), ("first", column in ends)) if so]
        kinds.append(f' class="{" ".join(names)}"' if names else "")
    return kinds


def _td(cell: Cell, kind: str) -> str:
    text = _inline(cell.text)
    if cell.tone == "best":
        text = f"<b>{text}</b>"
    elif cell.tone:
        text = f'<span class="badge {cell.tone}">{text}</span>'
    dot = f'<i class="{"ring" if cell.ring else "dot"}" style="color:{cell.colour}"></i>' if cell.colour else ""
    note = f"<small>{_inline(cell.note)}</small>" if cell.note else ""
    text = f'<span class="name">{dot}{text}</span>' if dot else text
    return f"<td{kind}>{text}{cell.svg}{note}</td>"


def _picture(shown: Shown) -> str:
    """Return a picture that is as high as its neighbours, whatever their widths."""
    data = base64.b64encode(shown.png).decode()
    title = escape(shown.title)
    image = f'<img alt="{title}" src="data:image/png;base64,{data}">'
    return f'<figure style="width:{13 * _aspect(shown.png):.1f}rem">{image}<figcaption>{title}</figcaption></figure>'


def _aspect(png: bytes) -> float:
    """Return width by height, as the header of a PNG tells them."""
    wide, high = struct.unpack(">II", png[16:24])
    return float(wide / high)


def markdown(page: Page) -> str:
    """Return the page as Markdown.

    >>> table = Table(["arm", "Dice"], [["cut | band", Cell("0.9", tone="best")]])
    >>> print(markdown(Page("Cuts", "They work.", [table])))
    # Cuts
    <BLANKLINE>
    They work.
    <BLANKLINE>
    | arm | Dice |
    |---|--:|
    | cut \\| band | **0.9** |
    <BLANKLINE>
    """
    parts = [f"# {page.title}", page.lead, *(_markdown(block) for block in page.blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Text(text):
            return text.strip()
        case Table():
            return _rows(block)
        case Plot(name=name, says=says):
            return f"![{_flat(says)}](plots/{name}.svg)"
        case Gallery(pictures):
            return "\n\n".join(f"![{_flat(s.title)}]({path})\n{_flat(s.title)}" for path, s in _files(pictures))


def _rows(table: Table) -> str:
    over = [label for label, span in table.groups for _ in range(span)] or [""] * len(table.head)
    drawn = [
        any(_cell(row[i]).svg for row in table.rows) and not any(_cell(row[i]).text for row in table.rows)
        for i in range(len(table.head))
    ]
    kept = [i for i in range(len(table.head)) if not drawn[i]]
    numeric = _numeric(table)
    head = [_flat(f"{over[i]}: {table.head[i]}" if over[i] else table.head[i]) for i in kept]
    lines = [head, ["--:" if numeric[i] else "---" for i in kept]]
    lines += [[_words(_cell(row[i])) for i in kept] for row in table.rows]
    return "\n".join(
        [f"| {' | '.join(lines[0])} |", f"|{'|'.join(lines[1])}|", *(f"| {' | '.join(l)} |" for l in lines[2:])]
    )


def _words(cell: Cell) -> str:
    text = _flat(cell.text)
    text = f"**{text}**" if cell.tone and text else text
    return f"{text}<br>{_flat(cell.note)}" if cell.note else text


def _flat(text: str) -> str:
    return _joined(text).replace("|", "\\|").replace("<", "&lt;")


def p_value(p: float | None) -> str:
    """Return a p value as a report shows it.

    >>> p_value(0.0004), p_value(0.0312), p_value(None)
    ('< 0.001', '0.031', '–')
    """
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
