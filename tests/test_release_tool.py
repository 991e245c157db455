"""The release command: what it refuses, and how it moves the version and the changelog on."""

import datetime
import subprocess
from pathlib import Path

import pytest

import hatch_build
from tools import release

DAY = datetime.date(2031, 2, 3)
CHANGES = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.1.0] - 2030-01-01

- The first.
"""
MODULE = '"""A package."""\n\n__version__ = "0.1.0"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a committed tree with a version and a changelog."""
    for path, text in ((release.VERSION_FILE, MODULE), (release.CHANGELOG, CHANGES)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    release.git(tmp_path, "init", "--quiet")
    for key, value in (("user.name", "A"), ("user.email", "a@localhost"), ("commit.gpgsign", "false")):
        release.git(tmp_path, "config", key, value)
    release.git(tmp_path, "add", ".")
    release.git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_what_was_unreleased_gets_the_version_and_the_day():
    moved = release.with_release(CHANGES, "0.2.0", DAY)

    assert moved == CHANGES.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2031-02-03\n")
    with pytest.raises(
        release.ReleaseError, match=r"needs an entry under \[Unreleased\] in CHANGELOG.md; there is none"
    ):
        release.with_release(moved, "0.3.0", DAY)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.2", r"needs the form x.y.z; got '0.2'"),
        ("v0.2.0", "needs the form x.y.z"),
        ("0.0.9", "needs a later version than 0.1.0; got 0.0.9"),
    ],
)
def test_a_version_that_is_none_is_refused(version, words):
    with pytest.raises(release.ReleaseError, match=words):
        release.with_version(MODULE, version)


def test_a_module_without_a_version_is_refused():
    with pytest.raises(release.ReleaseError, match="needs a line __version__"):
        release.version_of("")


def test_a_section_that_is_there_is_not_made_again():
    with pytest.raises(release.ReleaseError, match=r"has a section \[0.1.0\] already"):
        release.with_release(CHANGES, "0.1.0", DAY)


def test_the_projects_own_version_and_changelog_are_understood():
    source = (release.ROOT / release.VERSION_FILE).read_text(encoding="utf-8")

    assert release.version_of(release.with_version(source, "99.0.0")) == "99.0.0"
    assert release.UNRELEASED.search((release.ROOT / release.CHANGELOG).read_text(encoding="utf-8")) is not None


def test_changes_that_are_not_committed_are_named(tree):
    (tree / release.CHANGELOG).write_text(CHANGES + "more\n", encoding="utf-8")
    (tree / "new.txt").write_text("", encoding="utf-8")

    with pytest.raises(release.ReleaseError, match=r"clean tree; not committed: CHANGELOG.md, new.txt\."):
        release.release(tree, "0.2.0")


def test_a_version_is_tagged_once(tree):
    release.git(tree, "tag", "v0.2.0")

    with pytest.raises(release.ReleaseError, match="is a tag v0.2.0 already"):
        release.release(tree, "0.2.0")


def test_a_failed_build_leaves_the_tree_as_it_was(tree):
    with pytest.raises(release.ReleaseError, match=r"'\S+ -m hatchling build' failed; nothing was released"):
        release.release(tree, "0.2.0")  # there is no pyproject.toml

    assert release.git(tree, "status", "--porcelain") == ""
    assert (tree / release.VERSION_FILE).read_text(encoding="utf-8") == MODULE
    assert release.git(tree, "tag") == ""


def test_a_wheel_is_built_for_every_platform_that_the_loops_are_compiled_for():
    assert tuple(hatch_build.TARGETS) == release.PLATFORMS


def test_the_wheel_of_this_machine_is_the_one_that_is_tried(monkeypatch):
    files = [Path("segmend-1.0.0.tar.gz"), *(Path(f"segmend-1.0.0-py3-none-{one}.whl") for one in release.PLATFORMS)]

    monkeypatch.setattr(release, "platform_tags", lambda: iter(["macosx_12_0_arm64", "macosx_11_0_arm64"]))
    assert release.own(files).name == "segmend-1.0.0-py3-none-macosx_11_0_arm64.whl"
    monkeypatch.setattr(release, "platform_tags", lambda: iter(["musllinux_1_2_riscv64"]))
    assert release.own(files) == files[0]


def test_without_a_version_the_command_says_what_it_needs():
    done = subprocess.run(["make", "--no-print-directory", "release"], cwd=release.ROOT, capture_output=True, text=True)

    assert done.returncode != 0
    assert "Which version? make release VERSION=x.y.z" in done.stderr
