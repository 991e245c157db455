"""Names in package-lock.json the builds for other platforms that npm left out: python tools/complete_lock.py

npm writes into the lock only those optional packages that it could ask its registry about. `npm ci`
then refuses the lock, here or on another platform. What is missing follows from the names: which
system, which processor, which C library. Run it after every `npm install` in web/.
"""

import json
import re
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "web" / "package-lock.json"
PLATFORM = re.compile(
    r".*[-/](aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)"
    r"-(arm64|arm|ia32|loong64|mips64el|ppc64|riscv64|s390x|x64)(?:-(gnu|musl)?\w*)?"
)
LIBRARIES = {"gnu": "glibc", "musl": "musl"}


def completed(packages: dict[str, Any]) -> dict[str, Any]:
    """Return the lock's packages with every optional one that is missing, in order of name."""
    found = dict(packages)
    for package in packages.values():
        for name, version in package.get("optionalDependencies", {}).items():
            platform = PLATFORM.fullmatch(name)
            if f"node_modules/{name}" in found or platform is None:
                continue
            system, processor, library = platform.groups()
            entry = {"version": version, "cpu": [processor], "dev": True, "optional": True, "os": [system]}
            if system == "linux" and library:
                entry["libc"] = [LIBRARIES[library]]
            found[f"node_modules/{name}"] = entry
    return dict(sorted(found.items()))


if __name__ == "__main__":
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    lock["packages"] = completed(lock["packages"])
    LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
