"""Forms of MONAI Label's clients, and the files that answer them.

A client that has sent a form before may name the boundary of that one: the true one is the body's first line. It names
files by their whole path on its own machine.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from segmend.core.geometry import Affine
from segmend.core.image import MaskArray
from segmend.errors import DiskFullError, LimitError, SettingsError
from segmend.io import nifti, nrrd
from segmend.server.bodies import Json, json_object
from segmend.server.cases.scratch import scratch_folder
from segmend.server.cases.uploads import Names, safe_name
from segmend.server.replies import UnreadableError
from segmend.server.settings import ServerSettings

# Bytes of the line that ends each part of a form, and of a field: of its clicks a client sends all each time.
BOUNDARY_BYTES, FIELD_BYTES = 200, 1 << 20
MOST_FIELDS = 8
# Bytes at the end of a form in which its last line lies.
ENDING_BYTES = BOUNDARY_BYTES + 20
BINARY = "application/octet-stream"


@dataclass
class Form:
    """A form whose files lie in a folder."""

    folder: Path
    files: dict[str, list[Path]] = field(default_factory=dict)  # by the field they came in
    params: Json = field(default_factory=dict)

    def file(self, name: str) -> Path | None:
        """Return the one file of a field, if there is one."""
        found = self.files.get(name, [])
        if len(found) > 1:
            raise UnreadableError(f"The form needs one file in the field {name!r}; got {len(found)}.")
        return found[0] if found else None


@asynccontextmanager
async def received_form(request: Request, settings: ServerSettings) -> AsyncIterator[Form]:
    """Give the form that a request carries; its files are gone afterwards."""
    body = _limited(request, settings.max_upload_bytes)
    start = b""
    async for piece in body:
        start += piece
        if b"\r\n" in start or len(start) > BOUNDARY_BYTES:
            break
    line, newline, _ = start.partition(b"\r\n")
    if not newline or not line.startswith(b"--") or not 3 <= len(line) <= BOUNDARY_BYTES or not line.isascii():
        raise UnreadableError("The body needs to be a form of the type multipart/form-data.")

    end = line + b"--"
    last = start[-ENDING_BYTES:]

    async def whole() -> AsyncGenerator[bytes, None]:
        nonlocal last
        yield start
        async for piece in body:
            last = (last + piece)[-ENDING_BYTES:]
            yield piece

    kind = b"multipart/form-data; boundary=" + line[2:].replace(b" ", b"")
    headers = Headers(raw=[(b"content-type", kind)])
    try:
        parser = MultiPartParser(
            headers,
            whole(),
            max_files=settings.max_upload_files,
            max_fields=MOST_FIELDS,
            max_part_size=FIELD_BYTES,
        )
        parsed = await parser.parse()
        if not last.rstrip().endswith(end):
            await parsed.close()
            raise UnreadableError("The form ends too early.")
    except MultiPartException:
        raise UnreadableError("The form is damaged, or has a field that is too long.") from None
    folder = scratch_folder(settings.data, "upload-")
    try:
        yield await run_in_threadpool(_kept, parsed, folder)
    finally:
        await parsed.close()
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


async def _limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise LimitError(f"A form may have {most} bytes here; this one is larger.")
        yield piece


def _kept(parsed: FormData, folder: Path) -> Form:
    form, names = Form(folder / "files"), Names()
    form.folder.mkdir()
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            path = form.folder / names.give(safe_name(value.filename or "file"))
            try:
                with path.open("xb") as file:
                    shutil.copyfileobj(value.file, file)
            except OSError as error:
                raise DiskFullError(f"The form could not be written: {error.strerror or 'the disk refused'}.") from None
            form.files.setdefault(name, []).append(path)
        elif name == "params" and value.strip():
            form.params = json_object(value)
    return form


# What is sent back


def mask_file(folder: Path, mask: MaskArray, affine: Affine, params: Json) -> Path:
    """Return a new file with a mask of 0 and 1, of the kind that a client's `result_extension` asks for."""
    said = params.get("result_extension", ".nii.gz")
    name = f"{secrets.token_hex(8)}{said}" if said in (".nrrd", ".nii.gz", ".nii") else ""
    if not name:
        raise SettingsError(f"A result can be .nrrd, .nii.gz or .nii; got {str(said)[:40]!r}.")
    values = mask.astype("uint16" if params.get("result_dtype") == "uint16" else "uint8")[None]
    if said == ".nrrd":  # which lives for one reply, and need not be on the disk when the power fails
        try:
            (folder / name).write_bytes(nrrd.nrrd_bytes(values, affine))
        except OSError as error:
            raise DiskFullError(f"The mask could not be written: {error.strerror or 'the disk refused'}.") from None
    else:
        nifti.write_nifti(folder / name, values, affine)
    return folder / name


def file_reply(path: Path, folder: Path | None = None) -> Response:
    """Return a file as a reply, after which its folder is deleted."""
    done = None if folder is None else BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(path, filename=path.name, media_type=BINARY, background=done)


def both_reply(path: Path, params: Json) -> Response:
    """Return a file and what is said of it as a form, in one piece: the client knows no other."""
    limit = secrets.token_hex(16)
    head = (
        f'--{limit}\r\nContent-Disposition: form-data; name="params"\r\nContent-Type: application/json\r\n\r\n'
        f"{json.dumps(params)}\r\n"
        f'--{limit}\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n'
        f"Content-Type: {BINARY}\r\n\r\n"
    )
    body = head.encode() + path.read_bytes() + f"\r\n--{limit}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={limit}")
