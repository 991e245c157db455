"""What `import segmend` gives, what it costs, and what it must not load."""

import ast
import json
import os
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import segmend

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "openvino", "scipy", "matplotlib", "fastapi", "sqlalchemy", "nibabel", "pydicom", "PIL")
MEDDLERS = ("PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")  # they slow imports down


def loaded_by(program: str) -> set[str]:
    """Return the top-level modules that a program has loaded when it ends."""
    asked = f"{program}\nimport json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def seconds_of(command: list[str]) -> float:
    """Return the processor time of the quickest of six runs: what else this machine does adds to the clock."""
    environment = {key: value for key, value in os.environ.items() if key not in MEDDLERS}
    times = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_all_lists_the_public_names_sorted():
    tree = ast.parse(Path(segmend.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert segmend.__all__ == sorted(segmend.__all__)
    assert set(segmend.__all__) == imported | {"__version__"}


def test_the_version_is_the_packages_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert segmend.__version__ == project["version"]


def test_importing_segmend_loads_nothing_heavy():
    assert not loaded_by("import segmend") & set(HEAVY)


def test_the_command_line_loads_nothing_heavy():
    assert not loaded_by("import segmend.cli; segmend.cli.run(['--help'])") & set(HEAVY)


def test_reading_the_cards_loads_no_torch():
    assert not loaded_by("import segmend; segmend.cards()") & {"torch", "openvino", "matplotlib"}


def test_importing_segmend_is_quick():
    assert seconds_of([sys.executable, "-c", "import segmend"]) < 0.3


def test_help_is_quick():
    assert seconds_of([sys.executable, "-m", "segmend", "--help"]) < 0.3


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

    behind_the_scenes = {  # used by name: by FastAPI, Uvicorn, fsspec's s3://, SQLAlchemy and pydicom
        "pylibjpeg",
        "pylibjpeg-openjpeg",
        "python-multipart",
        "websockets",
        "s3fs",
        "pg8000",
    }
    came_along = {"starlette", "pydantic", "anyio", "botocore"}  # FastAPI and s3fs stand on these
    assert owned - declared - came_along == set()
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
