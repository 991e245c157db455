"""A page of PDF: text in Helvetica, lines, filled boxes and pictures, written without a library.

The two fonts are among those that every reader of PDF brings, so nothing is embedded; they have the letters of western
Europe, and any other letter is written as a question mark. Places are in points, from the page's upper left corner.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 595.0, 842.0  # A4, in points
# Widths of Helvetica's letters from space to tilde, in thousandths of the size (Adobe's metrics).
WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *((556,) * 10),
    *(278, 278, 584, 584, 584, 556, 1015),
    *(667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833),
    *(722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611),
    *(278, 278, 278, 469, 556, 333),
    *(556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833),
    *(556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500),
    *(334, 260, 334, 584),
)
# Of a letter that is not among them.
USUAL_WIDTH = 600

Colour = Sequence[float]  # red, green, blue, 0 to 255


def width_of(text: str, size: float) -> float:
    """Return how wide a text is in points.

    >>> round(width_of("Segmend", 10), 2)
    42.8
    """
    at = [ord(letter) - 32 for letter in text]
    return sum(WIDTHS[i] if 0 <= i < len(WIDTHS) else USUAL_WIDTH for i in at) * size / 1000


def shortened(text: str, size: float, width: float) -> str:
    """Return as much of a text as fits.

    >>> shortened("a long name of a case", 10, 60)
    'a long nam...'
    """
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text}..."


class Page:
    """One page in the making."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._drawn: list[str] = []
        self._pictures: list[NDArray[np.uint8]] = []

    def text(self, x: float, y: float, text: str, *, size: float = 9, bold: bool = False, grey: float = 0) -> None:
        """Write a text whose baseline begins at a place."""
        font = "B" if bold else "F"
        self._drawn.append(f"{grey:.2f} g BT /{font} {size:g} Tf {x:.2f} {HEIGHT - y:.2f} Td {_literal(text)} Tj ET")

    def line(self, x: float, y: float, to_x: float) -> None:
        """Draw a thin line to the right."""
        self._drawn.append(f"0.75 G 0.5 w {x:.2f} {HEIGHT - y:.2f} m {to_x:.2f} {HEIGHT - y:.2f} l S")

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a box whose upper left corner is given."""
        r, g, b = (part / 255 for part in colour)
        self._drawn.append(
            f"{r:.3f} {g:.3f} {b:.3f} rg {x:.2f} {HEIGHT - y - height:.2f} {width:.2f} {height:.2f} re f"
        )

    def picture(self, x: float, y: float, width: float, height: float, pixels: NDArray[np.uint8]) -> None:
        """Draw a picture [y x 3] into a box."""
        name = f"P{len(self._pictures)}"
        self._pictures.append(pixels)
        place = f"{width:.2f} 0 0 {height:.2f} {x:.2f} {HEIGHT - y - height:.2f}"
        self._drawn.append(f"q {place} cm /{name} Do Q")

    def to_bytes(self) -> bytes:
        """Return the file."""
        fonts = [_font("Helvetica"), _font("Helvetica-Bold")]
        first = 7  # the number of the first picture
        named = " ".join(f"/P{i} {first + i} 0 R" for i in range(len(self._pictures)))
        resources = f"<< /Font << /F 5 0 R /B 6 0 R >> /XObject << {named} >> >>"
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:g} {HEIGHT:g}] /Contents 4 0 R "
            f"/Resources {resources} >>".encode(),
            _stream("", "\n".join(self._drawn).encode("latin-1")),
            *fonts,
            *(_image(pixels) for pixels in self._pictures),
            f"<< /Title {_literal(self._title)} /Producer (Segmend) >>".encode("latin-1"),
        ]
        return _file(objects)


def _font(name: str) -> bytes:
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()


def _image(pixels: NDArray[np.uint8]) -> bytes:
    height, width, _ = pixels.shape
    about = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB /BitsPerComponent 8"
    return _stream(about, np.ascontiguousarray(pixels).tobytes())


def _stream(about: str, data: bytes) -> bytes:
    packed = zlib.compress(data, 6)
    return f"<< {about} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n".encode() + packed + b"\nendstream"


def _literal(text: str) -> str:
    """Return a text as PDF writes it, in Windows' western letters, each as one byte.

    >>> _literal("5 (left)"), _literal("\\u4e2d")
    ('(5 \\\\(left\\\\))', '(?)')
    """
    letters = text.encode("cp1252", "replace").decode("latin-1")
    return "(" + letters.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") + ")"


def _file(objects: Sequence[bytes]) -> bytes:
    """Return the objects as a file, the last one being what the file says of itself."""
    file, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(file)
    file += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    file += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    file += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n".encode()
    return bytes(file + f"startxref\n{start}\n%%EOF\n".encode())
