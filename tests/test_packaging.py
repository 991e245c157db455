"""The package as people get it: the wheel's content, its needs, and the hook that builds the annotator."""

import ctypes
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import hatch_build
import segmend
from tools import complete_lock

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The extras whose pins are in lock.txt: the tests of JupyterLab and Ray have environments of their own.
LOCKED = PROJECT["optional-dependencies"].keys() - {"notebook", "ray"}
PIN = re.compile(r"([a-z0-9.-]+)==([a-z0-9.]+)( ; [^\\]+)? \\((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+)\n")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def plain(name: str) -> str:
    """Return a distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[;( ]", name)[0]).lower()


def closure(requirements: list[str]) -> set[str]:
    """Return all distributions that these requirements bring along, those of other platforms and extras left out."""
    waiting, found = [plain(r) for r in requirements], set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        waiting += [plain(need) for need in needs if "extra ==" not in need]
    return found


def test_the_wheel_holds_the_annotator_the_weights_and_the_migrations(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert "segmend/web/index.html" in names
    assert any(re.fullmatch(r"segmend/web/assets/.*\.js", name) for name in names)
    weights = [path.name for path in (ROOT / "src" / "segmend" / "weights").iterdir()]
    mend = {f"mend{n}d_{part}" for n in (2, 3) for part in ("reader.onnx", "refiner.onnx", "head.npz")}
    assert {*mend, "mend.md", "examples.md"} <= set(weights)
    assert {"segmend/py.typed", *(f"segmend/weights/{name}" for name in weights)} <= set(names)
    assert any(re.fullmatch(r"segmend/store/migrations/versions/\w+\.py", name) for name in names)
    assert not [name for name in names if "__pycache__" in name or "node_modules" in name]


def test_the_wheel_brings_the_compiled_loops_and_says_for_which_platform(wheel):
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    tags = next(archive.read(name).decode() for name in names if name.endswith(".dist-info/WHEEL"))

    assert names.count("segmend/native/loops.so") == 1
    assert not [name for name in names if name.endswith((".c", ".h"))]
    assert wheel.name.endswith(f"-py3-none-{hatch_build.own_platform()}.whl")
    assert "Root-Is-Purelib: false" in tags


def test_every_package_in_the_annotator_is_named_with_its_licence(wheel):
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    shipped = {path.split("node_modules/")[-1]: one for path, one in packages.items() if path and "dev" not in one}
    shipped = {name: one for name, one in shipped.items() if "optional" not in one}  # the bundler's other platforms
    shipped["vite"] = packages["node_modules/vite"]  # its helpers are in every bundle
    words = {
        "MIT": "Permission is hereby granted, free of charge",
        "ISC": "Permission to use, copy, modify, and/or distribute",
        "BSD-2-Clause": "Redistribution and use in source and binary forms",
    }

    sections = zipfile.ZipFile(wheel).read("segmend/web/THIRD_PARTY.txt").decode().split("-" * 80 + "\n")[1:]

    by_title = {section.splitlines()[0]: section for section in sections}
    assert {f"{name} {one['version']} ({one['license']})" for name, one in shipped.items()} <= set(by_title)
    for name, one in shipped.items():
        section = by_title[f"{name} {one['version']} ({one['license']})"]
        assert words[one["license"]] in section, name
        assert "Copyright" in section or "(c)" in section, name


def test_every_file_of_weights_has_its_licence_told(wheel):
    told = (ROOT / "src" / "segmend" / "weights" / "LICENSES.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if line.startswith("| ")]
    licences = {row[0].strip("`"): row[1] for row in rows if row[0].startswith("`")}
    sources = {name.strip(): row[2] for row in rows if len(row) == 3 for name in row[0].split(",")}
    learned = {row[0].strip("`"): row[2].removesuffix(" alone").split(", ") for row in rows if row[0].startswith("`")}
    weights = {path.name for path in (ROOT / "src" / "segmend" / "weights").iterdir() if path.suffix != ".md"}
    metadata_of = zipfile.ZipFile(wheel)
    name = next(name for name in metadata_of.namelist() if name.endswith(".dist-info/METADATA"))
    said = email.message_from_bytes(metadata_of.read(name))

    assert set(licences) == weights
    for file, licence in licences.items():
        shared_alike = any(sources[source] == "CC-BY-SA-4.0" for source in learned[file])
        assert licence == ("CC-BY-SA-4.0" if shared_alike else "Apache-2.0"), file
    assert set(licences.values()) <= set(said["License-Expression"].split(" AND "))
    assert {"LICENSE", "src/segmend/weights/LICENSES.md"} <= set(said.get_all("License-File"))


def test_the_wheel_stays_small(wheel):
    assert wheel.stat().st_size < 30 * 2**20


def test_annotating_needs_no_torch():
    assert "torch" not in closure(PROJECT["dependencies"])
    assert any(plain(need) == "torch" for need in PROJECT["optional-dependencies"]["train"])


def test_the_wheel_works_where_only_its_own_needs_are_installed(wheel, tmp_path):
    """Unpack the wheel and run it with everything hidden that `pip install segmend` does not bring."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    brought = closure(PROJECT["dependencies"])
    owners = metadata.packages_distributions()
    hidden = sorted(name for name, dists in owners.items() if not {plain(d) for d in dists} & {*brought, "segmend"})
    program = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(hidden)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
sys.path.insert(0, {str(site)!r})
import segmend
from segmend.cli import run
assert segmend.__file__.startswith({str(site)!r}), segmend.__file__
assert run(["samples", "demo", "--kind", "head"]) == 0
assert run(["segment", "demo/head/images/head_000.png", "--click", "0,160,200", "-o", "mask.nii.gz"]) == 0
assert run(["train", "mend", "--data", "demo", "--out", "run"]) == 2

from pathlib import Path
from segmend.server.app import PAGES, create_app
from segmend.server.settings import ServerSettings
app = create_app(ServerSettings(Path("data")))
assert (PAGES / "index.html").is_file()
assert any(getattr(route, "name", "") == "pages" for route in app.routes)
assert not {{"torch", "matplotlib", "onnx"}} & set(sys.modules)
app.state.shared.sessions.close()
app.state.shared.store.close()
"""
    assert "torch" in hidden

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "Training needs torch; install it with: pip install 'segmend[train]'."
    assert (tmp_path / "mask.nii.gz").is_file()


def pins(file: str) -> str:
    return (ROOT / "requirements" / file).read_text(encoding="utf-8")


def names(file: str) -> set[str]:
    return {name for name, *_ in PIN.findall(pins(file))}


@pytest.mark.parametrize("file", ["base.txt", "lock.txt"])
def test_the_pins_are_versions_and_hashes_and_nothing_else(file):
    assert re.sub(r"#.*\n", "", PIN.sub("", pins(file))) == ""


@pytest.mark.parametrize(
    ("file", "groups"),
    [
        ("base.txt", [PROJECT["dependencies"]]),
        ("lock.txt", [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][name] for name in LOCKED)]),
    ],
)
def test_the_pins_cover_every_requirement(file, groups):
    wanted = {plain(requirement) for group in groups for requirement in group} - {"segmend", "torch"}

    assert wanted - names(file) == set(), "run 'make lock'"


def test_torch_is_pinned_by_its_version_alone():
    assert re.search(r"^TORCH := torch==2\.\d+\.\d+$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert not {name for name in names("lock.txt") if re.match(r"torch$|triton|nvidia-|cuda-", name)}


def test_people_and_developers_get_the_same_versions():
    both = {"base.txt": {}, "lock.txt": {}}
    for file, found in both.items():
        for name, version, *_ in PIN.findall(pins(file)):
            found.setdefault(name, set()).add(version)

    assert {name: both["lock.txt"].get(name) for name in both["base.txt"]} == both["base.txt"]


def test_the_webs_lock_serves_every_platform():
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert complete_lock.completed(packages) == packages, "run tools/complete_lock.py"


def test_a_left_out_platform_is_filled_in():
    packages = {"node_modules/rollup": {"optionalDependencies": {"@rollup/rollup-linux-x64-musl": "4.1.0"}}}

    filled = complete_lock.completed(packages)

    assert filled["node_modules/@rollup/rollup-linux-x64-musl"] == {
        "version": "4.1.0",
        "cpu": ["x64"],
        "dev": True,
        "optional": True,
        "os": ["linux"],
        "libc": ["musl"],
    }


def test_the_citation_and_the_issue_forms_are_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))

    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    for form in forms:
        said = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert form.name == "config.yml" or {"name", "description", "body"} <= set(said), form.name


def test_the_version_stands_in_one_place(wheel):
    places = [
        path.relative_to(ROOT).as_posix()
        for path in [
            ROOT / "pyproject.toml",
            ROOT / "CITATION.cff",
            ROOT / "web" / "package.json",
            *(ROOT / "src").rglob("*.py"),
        ]
        if segmend.__version__ in path.read_text(encoding="utf-8")
    ]

    assert places == ["src/segmend/__init__.py"]
    assert wheel.name.startswith(f"segmend-{segmend.__version__}-")


def page(root: Path) -> Path:
    """Make a folder with the sources of a bundle and one that was built from them."""
    built = hatch_build.bundle(root)
    notices = built.with_name(hatch_build.NOTICES)
    for path in (root / "web" / "src" / "main.ts", root / "web" / "index.html", notices, built):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return built


def later(path: Path, seconds: int) -> None:
    at = path.stat().st_mtime + seconds
    os.utime(path, (at, at))


def test_a_bundle_newer_than_its_sources_is_not_built_again(tmp_path):
    later(page(tmp_path), 10)

    assert hatch_build.is_current(tmp_path)


def test_a_bundle_older_than_one_of_its_sources_is_built_again(tmp_path):
    page(tmp_path)
    later(tmp_path / "web" / "src" / "main.ts", 10)

    assert not hatch_build.is_current(tmp_path)


def test_a_bundle_without_sources_is_taken_as_it_is(tmp_path):
    built = page(tmp_path)
    for path in ("src/main.ts", "index.html"):
        (tmp_path / "web" / path).unlink()

    assert built.is_file()
    assert hatch_build.is_current(tmp_path)


def test_no_bundle_is_not_current(tmp_path):
    page(tmp_path).unlink()

    assert not hatch_build.is_current(tmp_path)


def test_a_bundle_without_its_notices_is_not_current(tmp_path):
    built = page(tmp_path)
    later(built, 10)
    built.with_name(hatch_build.NOTICES).unlink()

    assert not hatch_build.is_current(tmp_path)


@pytest.mark.parametrize(
    ("says", "recent"), [("v24.1.0", True), ("v20.19.0", True), ("v20.18.9", False), ("v8.17.0", False), ("", False)]
)
def test_only_a_recent_node_is_used(tmp_path, monkeypatch, says, recent):
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert hatch_build.recent_node() == (tmp_path if recent else None)


def test_without_a_node_pip_is_asked_for_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert hatch_build.recent_node() is None
    assert (hatch_build.node_from_wheel() / "node").exists()


def native(root: Path) -> Path:
    """Make a folder with sources of inner loops."""
    folder = hatch_build.loops(root)
    folder.mkdir(parents=True)
    for name in ("built.py", "mark.c", "native.h"):
        shutil.copy(hatch_build.loops(ROOT) / name, folder)
    return folder


def test_loops_are_compiled_until_they_are_those_of_their_sources(tmp_path):
    folder = native(tmp_path)
    is_current = hatch_build.built(tmp_path).is_current
    before = is_current(folder)

    hatch_build.compile_loops(tmp_path, folder)

    assert (before, is_current(folder)) == (False, True)
    (folder / "mark.c").write_text("/* another */")
    assert not is_current(folder)
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == [".c", ".h", ".py", ".so"]


def test_a_compiler_of_ones_own_choice_is_used(monkeypatch):
    monkeypatch.setenv("CC", "ccache 'my gcc'")

    assert hatch_build.compiler() == ["ccache", "my gcc"]


@pytest.mark.parametrize("program", [None, "exit 1"], ids=["none", "one that only has the name"])
def test_without_a_compiler_pip_is_asked_for_one(tmp_path, monkeypatch, program):
    if program is not None:
        (tmp_path / "cc").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "cc").chmod(0o755)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    native(tmp_path)
    page(tmp_path)
    hook = hatch_build.Parts(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
    source = hatch_build.Parts(str(tmp_path), {}, None, None, str(tmp_path), "sdist")

    assert hatch_build.compiler() is None
    assert hook.dependencies() == [hatch_build.ZIG]
    assert source.dependencies() == []


def test_the_package_with_a_compiler_makes_the_same_library_for_this_machine(tmp_path, monkeypatch):
    folder = native(tmp_path)
    monkeypatch.setattr(hatch_build, "compiler", lambda: None)

    hatch_build.compile_loops(tmp_path, folder)

    told = ctypes.c_char * 33
    loaded = ctypes.CDLL(str(folder / "loops.so"))
    assert told.in_dll(loaded, "segmend_sources").value.decode() == (
        f"segmend loops of {hatch_build.built(tmp_path).checksum(folder)}"
    )


def test_a_platform_that_nobody_compiles_for_is_refused(monkeypatch):
    monkeypatch.setenv("SEGMEND_PLATFORM", "amiga")

    with pytest.raises(hatch_build.BuildError, match="SEGMEND_PLATFORM needs one of manylinux.*; got amiga"):
        hatch_build.platform()


def test_loops_without_sources_are_said(tmp_path):
    folder = native(tmp_path)
    (folder / "mark.c").unlink()

    with pytest.raises(hatch_build.BuildError, match="need their sources in .*native; there are none"):
        hatch_build.compile_loops(tmp_path, folder)


def test_loops_that_cannot_be_compiled_are_said_in_one_line(tmp_path):
    folder = native(tmp_path)
    (folder / "mark.c").write_text("no C")

    with pytest.raises(hatch_build.BuildError, match=r"Compiling the inner loops failed at '.*': .*mark\.c"):
        hatch_build.compile_loops(tmp_path, folder)
    assert not list(folder.glob("*.so*"))


def test_missing_sources_are_said(tmp_path):
    with pytest.raises(hatch_build.BuildError, match="needs its sources in .*web; there is no package-lock.json"):
        hatch_build.build(tmp_path)


def test_a_command_that_fails_is_said_in_one_line_without_its_stack(tmp_path):
    program = "console.error('Could not resolve main.ts\\n    at somewhere.js:1'); process.exit(1)"

    with pytest.raises(hatch_build.BuildError) as raised:
        hatch_build.run(["node", "-e", program], tmp_path, dict(os.environ))

    assert str(raised.value) == "Building the annotator failed at 'node -e': Could not resolve main.ts"
