"""A page about one case: pictures of each label in three planes, what was measured, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from segmend import __version__
from segmend.core.image import Image
from segmend.core.measures import Measures
from segmend.core.session import GIVEN, Label, Prompted
from segmend.results.case_result import CaseResult
from segmend.results.pdf import HEIGHT, WIDTH, Page, shortened, width_of
from segmend.results.planes import Plane, planes

MARGIN = 42.0  # points, as all lengths here
# Labels that are shown in pictures, and in the table: the largest ones, as many as a page has room for.
PICTURES, ROWS = 4, 14
# Pixels of the longer side of a picture: sharp in print, and a page stays under a megabyte or two.
SIDE = 480
ROW, SMALL = 14.0, 7.5
# Where the table's columns begin.
COLUMNS = (0.0, 16.0, 140.0, 205.0, 260.0, 355.0, 435.0)
LOW, CAPTION = HEIGHT - 52.0, 11.0


def report(result: CaseResult, *, anonymous: bool) -> bytes:
    """Return the page as PDF; the patient is on it only where it is asked for."""
    page = Page(f"Segmentation of {result.case.name}")
    y = _head(page, result, anonymous=anonymous)
    measured = [label for label in result.labels if result.measures[label.value].voxels]
    measured.sort(key=lambda label: -result.measures[label.value].voxels)
    y = _table(page, result, measured[:ROWS], y)
    if len(measured) > ROWS:
        page.text(MARGIN, y, f"{len(measured) - ROWS} smaller labels are in the table of measures.", size=SMALL)
        y += ROW
    _pictures(page, result, measured[:PICTURES], y + 6)
    _foot(page, result)
    return page.to_bytes()


def _head(page: Page, result: CaseResult, *, anonymous: bool) -> float:
    case = result.case
    room = WIDTH - 2 * MARGIN
    page.text(MARGIN, 58, shortened(case.name, 17, room), size=17, bold=True)
    size = " x ".join(map(str, case.shape[::-1] if case.shape[0] > 1 else case.shape[:0:-1]))
    steps = " x ".join(f"{step:.3g}" for step in (case.spacing[::-1] if case.shape[0] > 1 else case.spacing[:0:-1]))
    facts = [case.modality, f"{size} {'voxels' if case.shape[0] > 1 else 'pixels'}", f"{steps} mm"]
    status = {"done": "accepted", "accepted": "accepted", "rejected": "rejected"}.get(case.status, "not yet accepted")
    judged = case.status in ("done", "accepted", "rejected") and case.status_by
    facts.append(status + (f" by {case.status_by}" if judged else ""))
    lines = ["  |  ".join(fact for fact in facts if fact)]
    if not anonymous and (case.patient or case.study_date):
        lines.append("  |  ".join(fact for fact in (case.patient, case.study_date, case.description) if fact))
    if case.comment:
        lines.append(" ".join(case.comment.split()))
    y = 76.0
    for line in lines:
        page.text(MARGIN, y, shortened(line, 9, room), grey=0.35)
        y += 13
    return y + 8


def _table(page: Page, result: CaseResult, labels: Sequence[Label], y: float) -> float:
    image = result.image
    size = "Volume" if not image.flat else "Area"
    heads = ("", "Label", size, "Longest", "Long x short axis", "Mean \xb1 SD", "Least to greatest")
    for x, head in zip(COLUMNS, heads, strict=True):
        page.text(MARGIN + x, y, head, size=SMALL, bold=True, grey=0.35)
    page.line(MARGIN, y + 4, WIDTH - MARGIN)
    y += ROW + 2
    for label in labels:
        page.box(MARGIN, y - 7, 9, 9, label.colour)
        for x, after, cell in zip(
            COLUMNS[1:],
            (*COLUMNS[2:], WIDTH - 2 * MARGIN),
            (label.name, *_cells(result.measures[label.value], image)),
            strict=True,
        ):
            page.text(MARGIN + x, y, shortened(cell, 8.5, after - x - 4), size=8.5)
        y += ROW
    if not labels:
        page.text(MARGIN, y, "Nothing is segmented yet.", grey=0.35)
        y += ROW
    return y


def _cells(found: Measures, image: Image) -> tuple[str, ...]:
    long = found.diameters
    assert long is not None  # it has voxels
    if found.volume_ml is not None:
        size = f"{_short(found.volume_ml)} ml"
    else:
        size = f"{found.voxels} px" if found.area_mm2 is None else f"{_short(found.area_mm2)} mm\xb2"
    axes = f"{long.long_axis:.1f} x {long.short_axis:.1f} {long.unit}"
    several = image.channels > 1
    mean = " / ".join(f"{one:.0f}" for one in found.means) if several else f"{found.means[0]:.1f}"
    mean += "" if several else f" \xb1 {found.deviations[0]:.1f}"
    return size, f"{long.longest:.1f} {long.unit}", axes, mean, f"{min(found.lows):.5g} to {max(found.highs):.5g}"


def _short(size: float) -> str:
    """Return a size with three figures that count.

    >>> _short(1600.4), _short(32.19), _short(0.0641)
    ('1600', '32.2', '0.0641')
    """
    return f"{size:.0f}" if size >= 100 else f"{size:.3g}"


def _pictures(page: Page, result: CaseResult, labels: Sequence[Label], y: float) -> None:
    rows = [planes(result.image, result.map, result.labels, label.value, side=SIDE) for label in labels]
    if not rows:
        rows = [planes(result.image, result.map, result.labels, 0, side=SIDE)]
    titles = [label.name for label in labels] or [""]
    if result.image.flat:  # one picture has them all
        rows, titles = rows[:1], [""]
    height = (LOW - y) / len(rows)
    for title, row in zip(titles, rows, strict=True):
        _row(page, title, row, y, height)
        y += height


def _row(page: Page, title: str, row: Sequence[Plane], y: float, height: float) -> None:
    """Draw the planes of one label side by side in one scale."""
    gap, top = 10.0, y + (CAPTION + 3 if title else 0)
    if title:
        page.text(MARGIN, y + 8, shortened(title, 9, WIDTH - 2 * MARGIN), bold=True)
    room = (WIDTH - 2 * MARGIN - gap * (len(row) - 1)) / len(row)
    tall = y + height - top - CAPTION - 4
    for i, one in enumerate(row):
        h, w = one.pixels.shape[:2]
        scale = min(room / w, tall / h)
        x = MARGIN + i * (room + gap)
        page.picture(x, top, w * scale, h * scale, one.pixels)
        sides = f"; left {one.left}, top {one.top}" if one.title else ""
        page.text(x, top + h * scale + 9, shortened(one.title + sides, SMALL, room), size=SMALL, grey=0.35)


def _foot(page: Page, result: CaseResult) -> None:
    done = {*result.session.marked()}
    methods = {event.method for i in done if isinstance(event := result.session.events[i], Prompted)} - {GIVEN}
    people = sorted({record.user for record in result.history if record.user})
    made = ["1 mark or edit" if len(done) == 1 else f"{len(done)} marks and edits"]
    made += [f"by {', '.join(people)}"] if people else []
    made += [f"method {', '.join(sorted(methods))}"] if methods else []
    if result.history:
        made.append(f"last change {result.history[-1].created:%Y-%m-%d %H:%M} UTC")
    page.line(MARGIN, LOW + 10, WIDTH - MARGIN)
    page.text(MARGIN, LOW + 22, shortened("  |  ".join(made), SMALL, WIDTH - 2 * MARGIN), size=SMALL, grey=0.35)
    text = f"Segmend {__version__}. For research; not a medical device."
    page.text(MARGIN, LOW + 33, text, size=SMALL, grey=0.35)
    name = f"Session {result.record.id}"
    page.text(WIDTH - MARGIN - width_of(name, SMALL), LOW + 33, name, size=SMALL, grey=0.35)
