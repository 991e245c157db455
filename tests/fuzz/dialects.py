"""Requests made up in the dialects that send forms (SlicerNNInteractive 0.x, ITK-SNAP, MONAI Label), in DICOMweb, and
what Label Studio and Segmend's own extension of OHIF ask.

Whatever comes, a dialect answers with a status that it knows, never with 500; the server does not grow, and who works
beside is not disturbed.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from PIL import Image as Picture
from pydicom import dcmread

from segmend.io import images
from segmend.runtime.budget import resident_bytes
from segmend.server.protocols import brush
from tests.fuzz.beside import Beside
from tests.fuzz.damage import damaged
from tests.fuzz.readers import Findings
from tests.fuzz.viewers import GROWTH, LOOK, ODD, SHAPE, number, spoilt
from tests.server.dicom import slices
from tests.server.running import http, rooms

STATUSES = {200, 201, 202, 400, 404, 405, 410, 413, 422}
Made = tuple[str, str, bytes, dict[str, str]]  # a method, a path with its query, a body and headers
Fields = dict[str, bytes]
# A picture for Label Studio, [y x], and the interface of its project.
FLAT = (6, 8)
INTERFACE = '<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i"/></View>'


def picture() -> str:
    """Return a picture as an address that holds it."""
    file = io.BytesIO()
    Picture.fromarray(np.arange(FLAT[0] * FLAT[1], dtype=np.uint8).reshape(FLAT)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


PICTURE = picture()
UIDS = ("study", "series", "instance")
ODD_UIDS = ("1.2", "", "2.25.1", "2.25." + "9" * 60, "..%2f..", "%00", "x" * 300, "1" * 64, "%ff")


def voxels(random: Random, kind: str) -> np.ndarray:
    share = random.choice((0, 0.05, 0.9, 1))
    found = np.random.default_rng(random.getrandbits(32)).random(SHAPE) < share
    return (found * random.choice((1, 2, 3, 250))).astype(kind)


def npy(random: Random, kind: str) -> bytes:
    file = io.BytesIO()
    np.save(file, voxels(random, kind))
    return file.getvalue()


def nrrd(random: Random) -> bytes:
    head = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {' '.join(str(n) for n in SHAPE[::-1])}\n"
        "space directions: (0.8,0,0) (0,0.5,0) (0,0,3)\nkinds: domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    return head.encode() + voxels(random, "uint8").tobytes()


def form(random: Random, files: Fields, fields: Fields) -> tuple[bytes, dict[str, str]]:
    """Return the body of a form, which now and then is damaged or lacks something, and its type."""
    body = b""
    for name, content in files.items():
        if random.random() < 0.03:
            continue
        file = random.choice(("image.gz", "scan.nrrd", "../../etc/passwd", "C:\\scans\\knee.nii.gz", ""))
        content = damaged(content, random) if random.random() < 0.3 else content
        body += f'--cut\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'.encode()
        body += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    for name, content in fields.items():
        if random.random() < 0.03:
            continue
        content = damaged(content, random) if random.random() < 0.15 else content
        body += f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"
    body += b"--cut--\r\n"
    if random.random() < 0.1:
        body = damaged(body, random)
    boundary = "cut" if random.random() < 0.95 else random.choice(("other", "", "x" * 300))
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def point(random: Random) -> list[Any]:
    numbers = [number(random, side) for side in SHAPE]
    return numbers if random.random() < 0.9 else random.choice((ODD[0], ODD[5], [1], "x", [1, None, 2]))


def said(random: Random, values: dict[str, Any]) -> bytes:
    return json.dumps(spoilt(random, values)).encode()


# The dialects


def legacy(random: Random, place: dict[str, str]) -> Made:
    path = random.choice(("upload_image", "upload_segment", "add_point_interaction", "add_bbox_interaction",
                          "add_scribble_interaction", "add_lasso_interaction"))  # fmt: skip
    if path == "upload_image":
        body, headers = form(random, {"file": npy(random, random.choice(("int16", "float32", "uint8")))}, {})
    elif path == "add_point_interaction":
        body, headers = said(random, {"voxel_coord": point(random), "positive_click": True}), {}
    elif path == "add_bbox_interaction":
        corners = {"outer_point_one": point(random), "outer_point_two": point(random)}
        body, headers = said(random, {**corners, "positive_click": random.random() < 0.8}), {}
    else:
        fields = {"positive_click": random.choice((b"True", b"False", b"maybe"))}
        body, headers = form(random, {"file": gzip.compress(npy(random, "bool"))}, fields)
        headers["Content-Encoding"] = "gzip"
    return "POST", f"/{path}", body, headers


def itksnap(random: Random, place: dict[str, str]) -> Made:
    session = place["itksnap"] if random.random() < 0.95 else random.choice(("", "x" * 300, "%00", "a%2Fb"))
    kind = random.choice(("point", "point", "scribble", "lasso", "upload", "reset"))
    if kind == "point":
        made = point(random)
        query = [("point", str(value)) for value in (made if isinstance(made, list) else [made])]
        whole = [(name, value.partition(".")[0] if random.random() < 0.8 else value) for name, value in query]
        ending = urlencode([*whole, ("foreground", random.choice(("true", "false", "maybe")))])
        return "GET", f"/v2/process_point_interaction/{session}?{ending}", b"", {}
    if kind == "reset":
        return "GET", f"/reset_interactions/{session}", b"", {}
    metadata = {
        "dimensions": list(SHAPE[::-1]), "spacing": [0.8, 0.5, 3.0], "origin": [0, 0, 0],
        "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1], "components_per_pixel": 1,
    }  # fmt: skip
    packed = gzip.compress(voxels(random, "<f4").tobytes())
    body, headers = form(random, {"file": packed}, {"metadata": said(random, metadata)})
    path = "upload_raw" if kind == "upload" else f"process_{kind}_interaction"
    return "POST", f"/{path}/{session}?foreground={random.choice(('true', 'false', 'x'))}", body, headers


def monai(random: Random, place: dict[str, str]) -> Made:
    image = place["case"] if random.random() < 0.9 else random.choice(("", "a/b", "%00", "x" * 2000, "%ff"))
    kind = random.choice(("clicks", "clicks", "scribbles", "label", "image", "session", "next", "lists"))
    params = {
        "label": random.choice(("spleen", "liver", "Zäh", "x" * 300)),
        "foreground": [point(random) for _ in range(random.randrange(3))],
        "background": [point(random) for _ in range(random.randrange(2))],
        "result_extension": random.choice((".nrrd", ".nii.gz", ".nii", "/../x.nrrd")),
        "label_info": [{"name": "spleen", "idx": 1}],
    }
    fields = {"params": said(random, params)}
    if kind == "clicks":
        body, headers = form(random, {}, fields)
        return "POST", f"/infer/segmend?image={image}&output={random.choice(('all', 'image', 'json'))}", body, headers
    if kind == "scribbles":
        body, headers = form(random, {"label": nrrd(random)}, fields)
        return "POST", f"/infer/segmend-scribbles?image={image}", body, headers
    if kind == "label":
        body, headers = form(random, {"label": nrrd(random)}, fields)
        return "PUT", f"/datastore/label?image={image}&tag={random.choice(('', 'final', 'draft'))}", body, headers
    if kind in ("image", "session"):
        body, headers = form(random, {"file" if kind == "image" else "files": nrrd(random)}, fields)
        return "PUT", f"/datastore/?image={random.randrange(9)}" if kind == "image" else "/session/", body, headers
    if kind == "next":
        return "POST", f"/activelearning/{random.choice(('next', 'random', 'x'))}", said(random, {}), {}
    paths = ("/info/", "/datastore/", f"/datastore/image?image={image}", f"/datastore/label?label={image}&tag=final",
             "/session/x", "/train/", "/auth/", "/auth/token/valid", "/datastore/?output=all")  # fmt: skip
    return "GET", random.choice(paths), b"", {}


def dicomweb(random: Random, place: dict[str, str]) -> Made:
    def uid(name: str) -> str:
        return place[name] if random.random() < 0.85 else random.choice(ODD_UIDS)

    study = f"/dicom-web/studies/{uid('study')}"
    series = f"{study}/series/{uid('series')}"
    instance = f"{series}/instances/{uid('instance')}"
    frames = random.choice(("1", "2", "1,1", "0", "-1", "x", "1," * 2000, "9" * 30))
    path = random.choice(
        ("/dicom-web/studies", "/dicom-web/series", f"{study}/series", f"{study}/metadata", f"{study}/instances",
         f"{series}/metadata", f"{series}/instances", series, instance, f"{instance}/metadata",
         f"{instance}/frames/{frames}")
    )  # fmt: skip
    names = (
        "PatientName",
        "00100020",
        "StudyDate",
        "limit",
        "offset",
        "includefield",
        "fuzzymatching",
        "\x00",
        "x" * 99,
    )
    texts = ("*", "Doe*", "20240101-", "-", "1", "-1", "true", "[", "a*" * 40, "\\", "9" * 40, "Z\xe4h")
    query = urlencode([(random.choice(names), random.choice(texts)) for _ in range(random.randrange(3))])
    accept = random.choice(("*/*", "multipart/related; type=application/octet-stream; transfer-syntax=*", ";" * 500))
    return "GET", f"{path}?{query}", b"", {"Accept": accept}


def labelstudio(random: Random, place: dict[str, str]) -> Made:
    side = random.choice((1, 6, 8))
    mask = np.random.default_rng(random.getrandbits(32)).random((FLAT[0], FLAT[1])) < random.choice((0, 0.1, 0.9))
    value = {
        name: random.choice((5, 50, 99.5, 100, -3, 1e9, *ODD)) for name in ("x", "y", "width", "height", "rotation")
    }
    rle = brush.pack(mask)
    if random.random() < 0.3:
        rle = list(damaged(bytes(rle), random))
    kind = random.choice(("keypointlabels", "rectanglelabels", "brushlabels", "polygonlabels"))
    held = {"rle": rle, "format": "rle", kind: [random.choice(("spleen", "Zäh", "", "x" * 300))]}
    mark = {"type": kind, "value": spoilt(random, {**value, **held}), "is_positive": random.random() < 0.7}
    marks = [mark] * random.randrange(4)
    image = random.choice(
        (PICTURE, PICTURE, PICTURE, "http://127.0.0.1:1/x.png", "/x", "data:image/png;base64,AA", "//x/y")
    )
    interface = random.choice((INTERFACE, INTERFACE, INTERFACE, "<View>", "<View/>", "<!DOCTYPE a><a/>", "<" * side))
    body = {
        "tasks": [{"id": 1, "data": {"image": image}}],
        "label_config": interface,
        "params": {"context": {"result": marks}},
    }
    path = random.choice(("predict", "predict", "predict", "predict", "setup", "webhook", "health"))
    if path == "health":
        return "GET", "/label-studio/health", b"", {}
    packed = said(random, body)
    return "POST", f"/label-studio/{path}", damaged(packed, random) if random.random() < 0.1 else packed, {}


def ohif(random: Random, place: dict[str, str]) -> Made:
    wanted = {name: place[name] if random.random() < 0.85 else random.choice(ODD_UIDS) for name in UIDS}
    body = said(random, wanted)
    kind = {"Content-Type": "application/json"} if random.random() < 0.95 else {}
    return "POST", "/ohif/open", damaged(body, random) if random.random() < 0.15 else body, kind


DIALECTS: dict[str, Callable[[Random, dict[str, str]], Made]] = {
    "legacy": legacy,
    "itksnap": itksnap,
    "monai": monai,
    "dicomweb": dicomweb,
    "labelstudio": labelstudio,
    "ohif": ohif,
}


def connected(client: httpx.Client, random: Random, case: str) -> dict[str, str]:
    """Return what requests are made up with: a session of ITK-SNAP, which has an image, and a case."""
    session = client.get("/v2/start_session/segmend").json()["session_id"]
    return {"itksnap": session, "case": case}


def archived(store: Any, random: Random) -> dict[str, str]:
    """Return the numbers of a case with DICOM files, some of which were damaged since they were read."""
    with TemporaryDirectory() as folder:
        paths = slices(Path(folder), planes=3, rows=5, columns=4)
        head = dcmread(paths[0])
        ((info, read),) = images(folder)
        image = read()
        for path in paths[1:]:
            if random.random() < 0.5:
                path.write_bytes(damaged(path.read_bytes(), random))
        case = store.add_case("fuzzed DICOM", image, modality=info.modality, source=folder)
    uids = {"study": head.StudyInstanceUID, "series": head.SeriesInstanceUID, "instance": head.SOPInstanceUID}
    return {"archived": case.id, **{name: str(uid) for name, uid in uids.items()}}


def fuzz(server: Any, dialect: str, requests: int, seed: int) -> Findings:
    """Return the findings of so many requests of a dialect; the same seed makes the same ones."""
    random, found = Random(f"{dialect} {seed}"), Findings()
    store = server.config.app.state.shared.store
    with http(server) as client, Beside(server) as beside:
        place: dict[str, str] = {}
        before = resident_bytes()
        for step in range(requests):
            if step % LOOK == LOOK - 1:
                found.faults += [f"{dialect} {seed} before {step}: {what}" for what in beside.disturbed()]
            if step % 200 == 0:  # another case, and no log that grows for ever
                if place:
                    client.get(f"/v2/end_session/{place['itksnap']}")
                    store.delete_case(place["case"])
                    store.delete_case(place["archived"])
                place = connected(client, random, store.add_case("fuzzed", rooms()).id)
                place |= archived(store, random)
            method, path, body, headers = DIALECTS[dialect](random, place)
            try:
                reply = client.request(method, path, content=body or None, headers=headers)
            except httpx.HTTPError as error:
                found.faults.append(f"{dialect} {seed} {step} {path[:100]}: {type(error).__name__}")
                continue
            if path == "/session/" and reply.status_code == 200:  # which would take a place from others for a minute
                client.delete(f"/session/{reply.json()['session_id']}")
            found.outcomes[f"{path.partition('?')[0].split('/')[1]} {reply.status_code}"] += 1
            if reply.status_code not in STATUSES:
                found.faults.append(f"{dialect} {seed} {step} {path[:100]}: {reply.status_code} {reply.text[:200]}")
        found.faults += [f"{dialect} {seed} at the end: {what}" for what in beside.disturbed()]
        found.largest = resident_bytes() - before
        if found.largest > GROWTH:
            found.faults.append(f"{dialect} {seed}: the server grew by {found.largest >> 20} MB")
    return found
