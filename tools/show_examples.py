"""Put the files of examples/ into the pages that show them: `python tools/show_examples.py`.

A page shows a file in the block of Python after a line such as `<!-- examples/first_mask.py -->`. The code itself
stands in the page, for code hosts know no snippets; a test holds it to the file.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^<!-- (examples/\S+) -->\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def filled(page: str, root: Path = ROOT) -> str:
    """Return a page with the code that its files of examples have now."""

    def block(shown: re.Match[str]) -> str:
        name = shown[1]
        return f"<!-- {name} -->\n\n```python\n{(root / name).read_text(encoding='utf-8')}```"

    return SHOWN.sub(block, page)


def main() -> None:
    for path in sorted((ROOT / "docs").glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if filled(page) != page:
            path.write_text(filled(page), encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
