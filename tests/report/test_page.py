"""A page is the same in HTML and in Markdown, needs no other file, and lets no text become markup."""

import re
from html.parser import HTMLParser

import pytest

from segmend.errors import FileError
from segmend.report.page import INK, Cell, Gallery, Heading, Page, Plot, Shown, Table, Text, html, markdown, write

EVIL = 'a <b>|</b> & "c"'
PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x60\0\0\0\x20..."  # 96 wide, 32 high
PAGE = Page(
    "Cuts & walks",
    "Both `work`.",
    [
        Heading("Tables"),
        Table(
            ["arm", "Dice", "p", "what"],
            [
                [
                    Cell(EVIL, note="a `note`", colour="#123456"),
                    Cell("0.9 ± 0.1", tone="best"),
                    "< 0.001",
                    "1 and more",
                ],
                ["b", "–", "0.5", Cell("held", tone="good", svg="<svg></svg>")],
            ],
            groups=[("", 1), ("here", 3)],
        ),
        Text("First <paragraph>\ngoes on.\n\nA list:\n- one\n- two\n  and its end"),
        Plot("drawn", "A <line>", f'<?xml version="1.0"?>\n<svg><path stroke="{INK}"/></svg>'),
        Gallery([Shown("A <title>", PICTURE)]),
    ],
)


class Checked(HTMLParser):
    """Collects the text, and fails where a tag is closed that is not open."""

    VOID = ("meta", "img", "path", "br")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_html_is_whole_and_text_stays_text() -> None:
    document = html(PAGE)
    read = Checked(document)

    assert read.open == []
    assert EVIL in read.words
    assert "First <paragraph> goes on." in read.words
    assert [t for t, _ in read.tags].count("li") == 2
    assert "two and its end" in read.words
    assert "b" not in [t for t, a in read.tags if t == "b"][1:]  # only the best cell is bold


def test_the_html_fetches_nothing_and_runs_nothing() -> None:
    document = html(PAGE)

    assert "<script" not in document
    assert not re.findall(r'(?:src|href)="(?!data:)', document)
    assert "url(" not in document
    assert "prefers-color-scheme: dark" in document


def test_plots_take_the_colours_of_their_page() -> None:
    assert 'stroke="currentColor"' in html(PAGE)
    assert INK not in html(PAGE)
    assert "<?xml" not in html(PAGE)


def test_pictures_are_equally_high() -> None:
    assert '<figure style="width:39.0rem">' in html(PAGE)


def test_numbers_stand_at_the_right() -> None:
    read = Checked(html(PAGE))

    heads = [attrs.get("class") for tag, attrs in read.tags if tag == "th" and attrs.get("scope") == "col"]
    assert heads == [None, "number first", "number", None]
    assert "|---|--:|--:|---|" in markdown(PAGE)


def test_the_markdown_says_the_same() -> None:
    text = markdown(PAGE)

    assert '| a &lt;b>\\|&lt;/b> & "c"<br>a `note` | **0.9 ± 0.1** | &lt; 0.001 | 1 and more |' in text
    assert "| arm | here: Dice | here: p | here: what |" in text
    assert "![A &lt;line>](plots/drawn.svg)" in text
    assert "![A &lt;title>](pictures/1.png)" in text


def test_a_column_of_drawings_alone_is_left_out_of_the_markdown() -> None:
    page = Page("P", "L", [Table(["a", "b"], [["x", Cell("", svg="<svg></svg>")]])])

    assert "| a |\n|---|\n| x |" in markdown(page)


def test_all_that_the_markdown_shows_is_written(tmp_path) -> None:
    paths = write(PAGE, tmp_path / "new")

    names = {path.relative_to(tmp_path / "new").as_posix() for path in paths}
    assert names == {"report.html", "report.md", "plots/drawn.svg", "pictures/1.png"}
    for target in re.findall(r"\]\(([^)]+)\)", (tmp_path / "new" / "report.md").read_text(encoding="utf-8")):
        assert (tmp_path / "new" / target).is_file()
    assert (tmp_path / "new" / "pictures" / "1.png").read_bytes() == PICTURE
    assert INK not in (tmp_path / "new" / "plots" / "drawn.svg").read_text()


def test_a_folder_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match="could not be made: Not a directory"):
        write(PAGE, tmp_path / "file" / "inside")
