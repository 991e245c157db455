"""What `import segmend` gives and what it loads; bench/house.py says how long that takes."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import segmend

ROOT = Path(__file__).parent.parent


def loaded_by(program: str) -> set[str]:
    """Return the packages that a program has loaded when it ends, but for Python's own and those of an empty one."""
    return _loaded(program) - _loaded("") - set(sys.stdlib_module_names) - {"segmend"}


def _loaded(program: str) -> set[str]:
    asked = f"{program}\nimport json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_all_lists_the_public_names_sorted():
    tree = ast.parse(Path(segmend.__file__).read_text(encoding="utf-8"))
    lines = [*tree.body, *(line for node in tree.body if isinstance(node, ast.If) for line in node.body)]
    own = [node for node in lines if isinstance(node, ast.ImportFrom) and str(node.module).startswith("segmend")]
    imported = {alias.name for node in own for alias in node.names}

    assert segmend.__all__ == sorted(segmend.__all__)
    assert set(segmend.__all__) == imported | {"__version__"}


def test_every_public_name_is_there_and_what_reads_images_comes_when_it_is_asked_for():
    assert not loaded_by("import segmend") & {"scipy", "PIL"}
    for name in segmend.__all__:
        assert getattr(segmend, name) is not None
    assert segmend.io.read is not None
    assert segmend.store.Store is not None
    assert {"io", "open_image"} <= set(dir(segmend))
    with pytest.raises(AttributeError, match="no attribute 'opne_image'"):
        _ = segmend.opne_image


def test_the_version_is_the_packages_own():
    project = ProjectMetadata(str(ROOT), PluginManager())  # as it is read for a wheel

    assert project.version == segmend.__version__


def test_importing_segmend_loads_numpy_alone():
    assert loaded_by("import segmend") == {"numpy"}


def test_the_command_line_loads_little():
    assert loaded_by("import segmend.cli; segmend.cli.run(['--help'])") == {"click", "numpy"}


def test_reading_the_cards_loads_no_method():
    assert loaded_by("import segmend; segmend.cards()") == {"numpy"}


def test_every_module_says_what_it_is_for():
    silent = [
        path
        for path in (ROOT / "src").rglob("*.py")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert silent == []


def test_every_import_is_declared_and_every_declaration_is_used():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *(v for k, v in project["optional-dependencies"].items() if k != "dev")]
    declared = {_plain(requirement) for group in groups for requirement in group}
    owners = packages_distributions()

    imported = {name for path in (ROOT / "src").rglob("*.py") for name in _imports(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"segmend"}
    owned = {_plain(owner) for name in foreign for owner in owners.get(name, [name])}

    behind_the_scenes = {  # used by name: by FastAPI, Uvicorn, fsspec, SQLAlchemy, pydicom, torch or us
        "pylibjpeg",
        "pylibjpeg-openjpeg",
        "python-multipart",
        "websockets",
        "s3fs",
        "pg8000",
        "tensorboard",
        "blosc2",
        "anywidget",
    }
    brought_along = {"mlflow", "mlflow-skinny"}  # by whoever has such a server; too large for an extra in the lock
    came_along = {"starlette", "pydantic", "anyio", "botocore"}  # FastAPI and s3fs stand on these
    came_along |= {name for name in owned if name.startswith("opentelemetry-")}  # they share one package's name
    assert owned - declared - came_along - brought_along == set()
    assert declared - owned - behind_the_scenes == set()


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def _plain(requirement: str) -> str:
    """Return a distribution's name as registries compare it."""
    name = requirement
    for mark in "<>=!~[; ":
        name = name.split(mark)[0]
    return name.strip().lower().replace("_", "-")
