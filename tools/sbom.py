"""Write what Segmend contains and needs as one CycloneDX file: python tools/sbom.py [FILE] (make sbom)

Python's part is what requirements/base.txt installs in an empty environment, with the licences of the installed
metadata; the annotator's part is what web/package-lock.json bundles. Nothing but the package registries is asked.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import segmend

ROOT = Path(__file__).parent.parent
FORMAT = "1.5"  # the newest version of CycloneDX that npm writes
Bom = dict[str, Any]


def python_part(folder: Path) -> Bom:
    """Return the bill of an empty environment with Segmend's own needs, made in the folder."""
    empty, tool = folder / "empty", folder / "tool"
    venv.create(empty, with_pip=False)
    venv.create(tool, with_pip=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(_python(empty)), "install"]
    run(*pip, "--quiet", "--no-compile", "--no-deps", "--require-hashes", "--requirement", "requirements/base.txt")
    run(str(_python(tool)), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "cyclonedx-bom>=7,<8")
    options = ["--sv", FORMAT, "--pyproject", "pyproject.toml", "--output-reproducible"]
    part: Bom = json.loads(run(str(_python(tool)), "-m", "cyclonedx_py", "environment", *options, str(_python(empty))))
    return part


def web_part() -> Bom:
    """Return the bill of the packages in the annotator."""
    npm = shutil.which("npm") or "npm"
    options = ["--sbom-format", "cyclonedx", "--omit", "dev", "--package-lock-only", "--offline"]
    part: Bom = json.loads(run(npm, "sbom", *options, folder=ROOT / "web"))
    return part


def merged(python: Bom, web: Bom, version: str) -> Bom:
    """Return one bill, whose root is Segmend in this version and needs both parts."""
    root = {**python["metadata"]["component"], "version": version, "purl": f"pkg:pypi/segmend@{version}"}
    annotator = {**web["metadata"]["component"], "name": "segmend-annotator"}
    needs = [needed for needed in python["dependencies"] if needed["ref"] != root["bom-ref"]]
    own = [needed for needed in python["dependencies"] if needed["ref"] == root["bom-ref"]]
    direct = [ref for needed in own for ref in needed.get("dependsOn", [])]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": FORMAT,
        "version": 1,
        "metadata": {"component": root},
        "components": sorted(
            [*python["components"], annotator, *web["components"]], key=lambda one: str(one["bom-ref"]).lower()
        ),
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": sorted([*direct, annotator["bom-ref"]])},
            *needs,
            *web["dependencies"],
        ],
    }


def run(*command: str, folder: Path = ROOT) -> str:
    """Return what a command prints, or end with what it complained about."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"'{' '.join(Path(word).name for word in command[:3])}' failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def _python(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / f"segmend-{segmend.__version__}.cdx.json"
    with tempfile.TemporaryDirectory() as scratch:
        bill = merged(python_part(Path(scratch)), web_part(), segmend.__version__)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{target}: {len(bill['components'])} components.")
