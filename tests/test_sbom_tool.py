"""The bill of materials: which packages of the annotator it names, and how its two parts become one."""

import json

from tools import sbom


def component(ref: str, **more: str) -> dict[str, str]:
    return {"bom-ref": ref, "name": ref.partition("@")[0], "type": "library", **more}


def test_the_annotators_part_names_what_its_lock_bundles_with_licences():
    packages = json.loads((sbom.ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    bundled = {
        (path.split("node_modules/")[-1], one["version"])
        for path, one in packages.items()
        if path and "dev" not in one and "optional" not in one
    }

    part = sbom.web_part()

    assert {(one["name"], one["version"]) for one in part["components"]} >= bundled
    assert part["specVersion"] == sbom.FORMAT
    assert all(one["licenses"] for one in part["components"])


def test_both_parts_hang_on_segmend():
    python = {
        "metadata": {"component": component("root-component")},
        "components": [component("numpy@2"), component("scipy@1")],
        "dependencies": [
            {"ref": "root-component", "dependsOn": ["scipy@1"]},
            {"ref": "scipy@1", "dependsOn": ["numpy@2"]},
        ],
    }
    web = {
        "metadata": {"component": component("annotator@0")},
        "components": [component("fflate@3")],
        "dependencies": [{"ref": "annotator@0", "dependsOn": ["fflate@3"]}],
    }

    bill = sbom.merged(python, web, "1.2.0")

    assert [one["bom-ref"] for one in bill["components"]] == ["annotator@0", "fflate@3", "numpy@2", "scipy@1"]
    assert bill["metadata"]["component"]["purl"] == "pkg:pypi/segmend@1.2.0"
    assert bill["dependencies"] == [
        {"ref": "root-component", "dependsOn": ["annotator@0", "scipy@1"]},
        {"ref": "scipy@1", "dependsOn": ["numpy@2"]},
        {"ref": "annotator@0", "dependsOn": ["fflate@3"]},
    ]
