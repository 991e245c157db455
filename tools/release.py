"""Make a release, all but the upload: python tools/release.py VERSION (make release VERSION=1.2.0)

The tree must be clean and CHANGELOG.md must say something under [Unreleased]. The version and the
changelog's section are moved on, an sdist and a wheel for each platform are built into dist/ and checked:
`twine check`, then this machine's wheel in an empty environment, where it has to make a mask. Then all is
committed and tagged. Whatever fails before that leaves the tree as it was.
"""

import datetime
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from packaging.tags import platform_tags

ROOT = Path(__file__).parent.parent
VERSION_FILE = Path("src/segmend/__init__.py")  # the one place where the version stands
CHANGELOG = Path("CHANGELOG.md")
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
PLATFORMS = (  # hatch_build.TARGETS; on others pip compiles the sdist
    "manylinux_2_28_x86_64",
    "manylinux_2_28_aarch64",
    "macosx_11_0_x86_64",
    "macosx_11_0_arm64",
    "win_amd64",
)
UNRELEASED = re.compile(r"^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", re.MULTILINE | re.DOTALL)


class ReleaseError(Exception):
    """Why there is no release; the text is one sentence for a person."""


def version_of(source: str) -> str:
    """Return the version that the text of a module says."""
    found = VERSION.search(source)
    if found is None:
        raise ReleaseError(f'{VERSION_FILE} needs a line __version__ = "..."; it has none.')
    return found[1]


def with_version(source: str, version: str) -> str:
    """Return the module's text with another version, which must be x.y.z and later than the one there.

    >>> with_version('__version__ = "0.1.0"', "0.2.0")
    '__version__ = "0.2.0"'
    """
    now = version_of(source)
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        raise ReleaseError(f"A version needs the form x.y.z; got {version!r}.")
    if _numbers(version) < _numbers(now):
        raise ReleaseError(f"A release needs a later version than {now}; got {version}.")
    return VERSION.sub(f'__version__ = "{version}"', source, count=1)


def with_release(changelog: str, version: str, day: datetime.date) -> str:
    """Return the changelog with what was unreleased under the version and the day, and an empty section above."""
    found = UNRELEASED.search(changelog)
    if found is None or not re.search(r"^- ", found[1], re.MULTILINE):
        raise ReleaseError("A release needs an entry under [Unreleased] in CHANGELOG.md; there is none.")
    if f"## [{version}]" in changelog:
        raise ReleaseError(f"CHANGELOG.md has a section [{version}] already.")
    heading = f"## [Unreleased]\n\n## [{version}] - {day.isoformat()}\n"
    return changelog[: found.start()] + heading + changelog[found.start(1) :]


def check_tree(root: Path, version: str) -> None:
    """Raise ReleaseError unless everything is committed and the version has no tag yet."""
    changed = git(root, "status", "--porcelain")
    if changed:
        raise ReleaseError(f"A release needs a clean tree; not committed: {', '.join(changed.split()[1::2])}.")
    if git(root, "tag", "--list", f"v{version}"):
        raise ReleaseError(f"There is a tag v{version} already.")


def release(root: Path, version: str) -> None:
    """Bump, build, check, commit and tag."""
    check_tree(root, version)
    source = (root / VERSION_FILE).read_text(encoding="utf-8")
    changelog = (root / CHANGELOG).read_text(encoding="utf-8")
    bumped = with_version(source, version)
    moved = with_release(changelog, version, datetime.datetime.now(datetime.UTC).date())
    try:
        (root / VERSION_FILE).write_text(bumped, encoding="utf-8")
        (root / CHANGELOG).write_text(moved, encoding="utf-8")
        files = build(root, version)
        check(root, files)
        git(root, "add", str(VERSION_FILE), str(CHANGELOG))
        git(root, "commit", "--quiet", "--message", f"Release {version}")
    except BaseException:
        git(root, "checkout", "--quiet", "HEAD", "--", str(VERSION_FILE), str(CHANGELOG))
        raise
    git(root, "tag", "--annotate", f"v{version}", "--message", f"Segmend {version}")
    print(f"Segmend {version} is committed, tagged v{version}, and built. To publish it:")
    print(f"  git push --follow-tags && python -m twine upload {' '.join(str(f.relative_to(root)) for f in files)}")


def build(root: Path, version: str) -> list[Path]:
    """Return the sdist and the wheels in dist/."""
    run(root, sys.executable, "-m", "hatchling", "build", "--target", "sdist")
    for platform in PLATFORMS:
        wheel = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
        run(root, *wheel, environment={"SEGMEND_PLATFORM": platform})
    ends = [".tar.gz", *(f"-py3-none-{platform}.whl" for platform in PLATFORMS)]
    files = [root / "dist" / f"segmend-{version}{end}" for end in ends]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ReleaseError(f"The build finished without {', '.join(missing)}.")
    return files


def check(root: Path, files: list[Path]) -> None:
    """Check the files' metadata, and that the wheel that fits this machine, or the sdist, alone makes a mask."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(root, python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "twine")
        run(root, python, "-m", "twine", "check", "--strict", *files)
    run(root, "bash", "tools/smoke.sh", sys.executable, own(files))


def own(files: list[Path]) -> Path:
    """Return the wheel that pip would take on this machine; the sdist, which is the first, where none fits."""
    for tag in platform_tags():
        for file in files:
            if file.name.endswith(f"-{tag}.whl"):
                return file
    return files[0]


def git(root: Path, *words: str) -> str:
    """Return what git says."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"git {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def run(root: Path, *words: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run one step, whose output is shown."""
    around = {**os.environ, **(environment or {})}
    if subprocess.run([str(word) for word in words], cwd=root, env=around, check=False).returncode != 0:
        raise ReleaseError(
            f"The step '{' '.join(Path(word).name for word in words[:4])}' failed; nothing was released."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("Which version? make release VERSION=x.y.z")
    try:
        release(ROOT, sys.argv[1])
    except ReleaseError as error:
        sys.exit(str(error))
