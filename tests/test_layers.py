"""The structure of the package: what may import what, as docs/architecture.md says."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import segmend

PACKAGE = Path(segmend.__file__).parent
ABOVE = (  # a part imports from those before it in this list, and from those beside it in the same row never
    ("errors",),
    ("core", "native", "nets"),
    ("editing", "runtime", "sampling", "solvers", "users"),
    ("methods",),
    ("__init__",),
    ("io",),
    ("datasets", "samples"),
    ("classical",),
    ("batch", "store", "learning", "evaluation"),
    ("results",),
    ("report", "mend", "server"),
    ("annotating", "papers", "continual"),
    ("cli",),
    ("__main__",),
)
FLOOR = {part: number for number, row in enumerate(ABOVE) for part in row}


class Import(NamedTuple):
    file: str
    line: int
    part: str
    imports: str
    late: bool  # inside a function


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(module: str, name: str) -> str:
    """Return the part that `from module import name` takes something from."""
    parts = module.split(".")
    if len(parts) > 1:
        return parts[1]
    return name if name in FLOOR else "__init__"


@cache
def own_imports() -> tuple[Import, ...]:
    return tuple(_own_imports())


def _own_imports() -> Iterator[Import]:
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        late = {
            id(inner)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(function)
        }
        named = {  # for the type checker: what the package's own file imports when it is first asked for
            id(inner)
            for node in tree.body
            if isinstance(node, ast.If) and path == PACKAGE / "__init__.py"
            for inner in node.body
        }
        for node in ast.walk(tree):
            if id(node) in named:
                continue
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "segmend":
                for name in node.names:
                    file = path.relative_to(PACKAGE).as_posix()
                    found = imported(node.module or "", name.name)
                    yield Import(file, node.lineno, part_of(path), found, id(node) in late)


def test_every_part_has_its_floor():
    there = {part_of(path) for path in PACKAGE.rglob("*.py")}

    assert there == set(FLOOR)


def test_a_part_imports_only_from_those_below_it():
    wrong = [one for one in own_imports() if one.imports != one.part and FLOOR[one.imports] >= FLOOR[one.part]]

    assert wrong == []


def test_the_root_of_the_package_stays_small():
    modules = [path.stem for path in PACKAGE.glob("*.py")]

    assert len(modules) <= 6, modules


def test_only_the_command_line_and_what_may_be_missing_is_imported_late():
    late = [one for one in own_imports() if one.late]

    assert len([one for one in late if one.part != "cli"]) <= 4, late


def test_a_paper_is_one_folder():
    for folder in (PACKAGE / "papers").iterdir():
        if folder.is_dir() and folder.name not in ("study", "__pycache__"):
            assert (folder / "method.py").is_file()
            assert (folder / "recipe.py").is_file()


def test_methods_in_use_import_no_robots():
    """Robots need the ground truth; a method that answers a person has none."""
    allowed = ("recipe", "experiment", "learning", "study")
    using = [one for one in own_imports() if one.imports == "users" and one.part in ("mend", "papers", "classical")]

    assert [one for one in using if not any(word in one.file for word in allowed)] == []
