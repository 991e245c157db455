"""An extension of griffe for the API reference: examples in docstrings (`>>> ...`) become blocks of Python."""

import griffe


def fenced(text: str) -> str:
    """Return a docstring whose doctests, each until the next empty line, stand between fences."""
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        if not inside and line.lstrip().startswith(">>>"):
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line)
    return "\n".join(lines[:-1])


class Doctests(griffe.Extension):
    """Fences the doctests of everything that is documented."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
