"""The README as package indexes show it, who have no other file of the project; hatchling calls this for the metadata.

Where pyproject.toml names the address of the sources (`[project.urls]`, Source), relative links and pictures point
there. Where it does not, links become their words and pictures are left out, so that nothing on the page is broken.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")


class Readme(MetadataHookInterface):  # type: ignore[misc,unused-ignore]
    """Hatchling asks this for the fields of the metadata that pyproject.toml calls dynamic."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text, source)}


def for_index(text: str, source: str | None) -> str:
    """Return a README whose relative links and pictures work where its project's other files are not.

    >>> for_index("![a](a.gif) [b](docs/b.md#c)", "https://host/us")
    '![a](https://host/us/raw/HEAD/a.gif) [b](https://host/us/blob/HEAD/docs/b.md#c)'
    >>> for_index("![a](a.gif) [b](docs/b.md) [c](#c)", None)
    ' b [c](#c)'
    """

    def moved(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        if source is None:
            return "" if picture else words
        return f"{picture}[{words}]({source.rstrip('/')}/{'raw' if picture else 'blob'}/HEAD/{target})"

    return LINK.sub(moved, text)
