"""Surfaces of masks as STL, OBJ and binary glTF, in millimetres of the patient; which way they count, each file says.

STL and OBJ count LPS as DICOM does unless RAS is asked for, and say so in their first line in the words that 3D Slicer
looks for. A glTF counts metres with the head up (+Y) and the front towards +Z, as its standard wants: its vertices are
RAS millimetres, and its root turns and scales them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import write_bytes
from segmend.core.image import Image, LabelMap, Space, check_space
from segmend.core.layers import label_mask
from segmend.core.session import Label
from segmend.core.surface import Surface, surface
from segmend.errors import FileError

SURFACE_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".stl": "STL surface, for 3D printing",
        ".obj": "OBJ surface, an object a label",
        ".glb": "glTF surface, with names and colours",
    }
)
FLAT = "A surface needs a volume; this image is a single slice."
# Millimetres of RAS as metres of glTF: the patient's left is +X, the head +Y, the front +Z; a column a row.
TO_GLTF = (-0.001, 0, 0, 0, 0, 0, 0.001, 0, 0, 0.001, 0, 0, 0, 0, 0, 1)
STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
# Kinds of numbers and of buffers, as glTF names them.
FLOAT, UNSIGNED, VERTICES, INDICES = 5126, 5125, 34962, 34963
MESH_HEAD, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942

Shown = tuple[Label, Surface]


def surfaces(label_map: LabelMap, image: Image, labels: Sequence[Label]) -> list[Shown]:
    """Return the surface of every label that has voxels, in a map [z y x] or in maps [layer z y x]."""
    if image.flat:
        raise FileError(FLAT)
    found = [(label, surface(label_mask(label_map, label.value), image)) for label in labels]
    return [(label, one) for label, one in found if len(one.triangles)]


def write_surfaces(path: Path, shown: Sequence[Shown], *, space: Space = "LPS") -> None:
    """Write surfaces in the format that the name's ending asks for; FileError where there is none to write."""
    check_space(space)
    if not shown:
        raise FileError("A surface needs a label with voxels; this mask is empty.")
    suffix = next(known for known in SURFACE_FORMATS if path.name.lower().endswith(known))
    write_bytes(path, WRITERS[suffix](shown, space))


def _placed(one: Surface, space: Space) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return vertices in a space; LPS is RAS turned about the head's axis, so outside stays outside."""
    signs = (-1, -1, 1) if space == "LPS" else (1, 1, 1)
    return (one.vertices * signs).astype(np.float32), one.triangles


def _stl(shown: Sequence[Shown], space: Space) -> bytes:
    written = [f"SPACE={space}; UNITS=mm; Segmend".encode().ljust(80)]
    written.append(struct.pack("<I", sum(len(one.triangles) for _, one in shown)))
    for _, one in shown:
        vertices, triangles = _placed(one, space)
        faces = np.zeros(len(triangles), STL_TRIANGLE)
        faces["corners"] = vertices[triangles]
        a, b, c = (faces["corners"][:, i] for i in range(3))
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        faces["normal"] = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
        written.append(faces.tobytes())
    return b"".join(written)


def _obj(shown: Sequence[Shown], space: Space) -> bytes:
    file = BytesIO()
    file.write(f"# SPACE={space}; UNITS=mm; Segmend\n".encode())
    before = 1
    for label, one in shown:
        vertices, triangles = _placed(one, space)
        file.write(f"o {'_'.join(label.name.split())}\n".encode())
        np.savetxt(file, vertices, "v %.4f %.4f %.4f")
        np.savetxt(file, triangles + before, "f %d %d %d")
        before += len(vertices)
    return file.getvalue()


def _glb(shown: Sequence[Shown], _: Space) -> bytes:
    parts: list[bytes] = []
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    for _label, one in shown:
        vertices, triangles = _placed(one, "RAS")
        indices = triangles.astype("<u4").ravel()
        ends = {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
        for data, target in ((vertices.astype("<f4").tobytes(), VERTICES), (indices.tobytes(), INDICES)):
            views.append({"buffer": 0, "byteOffset": sum(map(len, parts)), "byteLength": len(data), "target": target})
            parts.append(data)
        at = len(views)
        accessors.append({"bufferView": at - 2, "componentType": FLOAT, "count": len(vertices), "type": "VEC3", **ends})
        accessors.append({"bufferView": at - 1, "componentType": UNSIGNED, "count": len(indices), "type": "SCALAR"})
    meshes = [
        {"name": label.name, "primitives": [{"attributes": {"POSITION": 2 * i}, "indices": 2 * i + 1, "material": i}]}
        for i, (label, _) in enumerate(shown)
    ]
    about = {
        "asset": {"version": "2.0", "generator": "Segmend", "extras": {"meshes": "RAS mm"}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"name": "RAS mm", "matrix": TO_GLTF, "children": list(range(1, len(shown) + 1))},
            *({"name": label.name, "mesh": i} for i, (label, _) in enumerate(shown)),
        ],
        "meshes": meshes,
        "materials": [_material(label) for label, _ in shown],
        "buffers": [{"byteLength": sum(map(len, parts))}],
        "bufferViews": views,
        "accessors": accessors,
    }
    chunks = _chunk(JSON_CHUNK, json.dumps(about).encode(), b" ") + _chunk(BINARY_CHUNK, b"".join(parts), b"\0")
    return struct.pack("<III", MESH_HEAD, 2, 12 + len(chunks)) + chunks


def _chunk(kind: int, data: bytes, filler: bytes) -> bytes:
    data += filler * (-len(data) % 4)
    return struct.pack("<II", len(data), kind) + data


def _material(label: Label) -> dict[str, Any]:
    linear = [round((part / 255) ** 2.2, 4) for part in label.colour]
    return {
        "name": label.name,
        "pbrMetallicRoughness": {"baseColorFactor": [*linear, 1], "metallicFactor": 0, "roughnessFactor": 0.7},
    }


WRITERS: Mapping[str, Callable[[Sequence[Shown], Space], bytes]] = {".stl": _stl, ".obj": _obj, ".glb": _glb}
