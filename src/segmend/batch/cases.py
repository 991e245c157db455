"""Which cases are meant by files, folders, patterns, lists and tables, and what each of them is called.

A folder in a layout of a data set that is known gives that set's images. In any other folder each image file is a case
and each DICOM series; files that all end in _0000, _0001, ... are the channels of cases, as nnU-Net has them, and so
are files with the endings that are given.

A case's name is its path without suffix, from the folder that was given on, or from the one that all files share. It
names the mask, the row in the table, and the files with prompts and masks to start from.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from segmend.datasets.folder import look, look_as
from segmend.datasets.generic import SUFFIXES, stem
from segmend.errors import FileError, SettingsError, UserError
from segmend.io.apart import Apart
from segmend.io.files import sniff_format
from segmend.io.prompts import ENDINGS
from segmend.io.rows import read_rows

# Endings of files that are images; a folder is looked through for these and for DICOM.
IMAGES = (
    ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgh", ".mgz", ".img", ".png", ".jpg", ".jpeg", ".tif",
    ".tiff", ".bmp", ".zip",
)  # fmt: skip
MASKS = (".seg.nrrd",)  # never images
DICOM = re.compile(r"(\.(dcm|ima)|(^|\.)\d+|^[^.]+)$", re.IGNORECASE)  # names that DICOM files have
CHANNEL = re.compile(r"(.+)_(\d{4})")
# How the name of a mask may go on after its image's.
MASK_ENDINGS = ("", "_seg", "_mask", "_segmentation")
MASK_SUFFIXES = sorted(suffix for suffix in SUFFIXES if suffix and suffix != ".zip")
COLUMNS = "a column image, and perhaps name, prompts, start, label and series"


@dataclass(frozen=True)
class BatchCase:
    """One case: the files of its image, and what is given with it."""

    name: str  # a relative path with slashes
    images: tuple[Path, ...]  # several are channels; a folder or zip of DICOM counts as one
    series: str | None = None
    prompts: tuple[Path, ...] = ()
    start: Path | None = None
    label: str = ""  # what to call its object; "" where only the command says so
    problem: str = ""  # why it has no image that could be read


@dataclass(frozen=True)
class Search:
    """How cases are looked for."""

    apart: Apart  # which lists the series of DICOM folders
    layout: str | None = None
    channels: tuple[str, ...] = ()  # endings of the files of one case, such as _t1 and _t2
    without: Path | None = None  # a folder that is not looked into


def find_cases(inputs: Sequence[str], search: Search) -> list[BatchCase]:
    """Return the cases that are meant, each name once; FileError and SettingsError where one cannot be known."""
    paths = [path for text in inputs for path in _paths_of(text, search)]
    folders = [path for path in paths if path.is_dir()]
    found: list[BatchCase] = []
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            prefix = "" if len(folders) == 1 else path.resolve().name
            found += [replace(case, name=_joined(prefix, case.name)) for case in _in_folder(path, search)]
        elif path.suffix.lower() == ".csv":
            found += _in_table(path)
        else:
            files.append(path)
    found += _of_files(files, search)
    _check_names(found)
    if not found:
        raise FileError(f"There is no image in {', '.join(inputs)}.")
    return found


def _paths_of(text: str, search: Search) -> list[Path]:
    """Return the paths that one argument means: itself, those that fit a pattern, or the lines of a list."""
    path = Path(text)
    if not path.exists():
        if not glob.has_magic(text):
            raise FileError(f"There is no file or folder {text}.")
        fitting = [Path(one) for one in sorted(_fitting(text))]
        if not fitting:
            raise FileError(f"No file fits the pattern {text}.")
        masks = None if search.without is None else search.without.resolve()
        return [path for path in fitting if masks not in path.resolve().parents] or fitting
    if path.suffix.lower() != ".txt" or path.is_dir():
        return [path]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise FileError(f"The list {path} could not be read as text.") from None
    return [_named(path.parent, line.strip()) for line in lines if line.strip() and not line.startswith("#")]


def _fitting(pattern: str) -> set[str]:
    """Return the paths that fit a pattern, in which `**` is the folders below, links too, each once."""
    pattern = os.path.join(os.curdir, pattern.replace(os.altsep or os.sep, os.sep))
    head, deep, tail = pattern.partition(f"{os.sep}**{os.sep}")
    if not deep:
        return set(glob.glob(pattern))
    fitting = set[str]()
    for base in glob.glob(head or os.sep):
        for folder, _, _ in _folders_in(Path(base)):
            fitting |= _fitting(os.path.join(glob.escape(str(folder)), tail))
    return fitting


def _folders_in(
    root: Path, without: Path | None = None, unread: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield a folder and those below it, with the names of the folders in each, which may be cleared, and of its files.

    Links are followed last, and each folder is met once, whatever leads to it; a link to a folder that it is in leads
    nowhere. Hidden folders are left out, and the one `without` which it is to be.
    """
    met, todo = set[Path](), [root]
    for begin in todo:  # which grows by the links that are found
        for place, folders, names in os.walk(begin, onerror=unread):
            folder = Path(place)
            if folder.resolve() in met:
                folders.clear()
                continue
            met.add(folder.resolve())
            inside = [folder / name for name in sorted(folders) if not name.startswith(".")]
            inside = [path for path in inside if path.resolve() != without and not _leads_back(path)]
            folders[:] = [path.name for path in inside]
            yield folder, folders, sorted(name for name in names if not name.startswith("."))
            todo += [path for name in folders if (path := folder / name).is_symlink()]


def _leads_back(folder: Path) -> bool:
    """Tell whether a folder is a link to one of those that it is in."""
    return folder.is_symlink() and folder.resolve() in {above.resolve() for above in folder.parents}


def _named(folder: Path, text: str) -> Path:
    r"""Return what a list or table in a folder names; `\` is `/` where it is not part of a name."""
    path = folder / text
    return folder / text.replace("\\", "/") if "\\" in text and not path.exists() else path


def _in_table(path: Path) -> list[BatchCase]:
    """Return the cases of a worklist; what it names lies beside it where nothing else is said."""
    rows = read_rows(path, COLUMNS)
    if not rows or not any("image" in row.texts for row in rows):
        raise FileError(f"The worklist {path} needs {COLUMNS}; it has no image.")
    images = [tuple(_named(path.parent, part.strip()) for part in row.text("image").split(";") if part) for row in rows]
    if missing := next((row.line for row, files in zip(rows, images, strict=True) if not files), None):
        raise FileError(f"Line {missing} of the worklist {path} names no image.")
    names = _names([files[0] for files in images])
    return [
        BatchCase(
            name=row.text("name", "case") or name,
            images=files,
            series=row.text("series") or None,
            prompts=tuple(_named(path.parent, part.strip()) for part in row.text("prompts").split(";") if part),
            start=_named(path.parent, row.text("start", "mask")) if row.text("start", "mask") else None,
            label=row.text("label"),
        )
        for row, files, name in zip(rows, images, names, strict=True)
    ]


def _of_files(files: Sequence[Path], search: Search) -> list[BatchCase]:
    cases = [(name, BatchCase("", images)) for name, images in _grouped(files, search.channels)]
    return [replace(case, name=name) for name, (_, case) in zip(_names([n for n, _ in cases]), cases, strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the names of cases by their files: from the folder on that all share."""
    if not paths:
        return []
    absolute = [Path(os.path.abspath(path)) for path in paths]
    shared = Path(os.path.commonpath([path.parent for path in absolute]))
    return [_joined(path.relative_to(shared).parent.as_posix(), stem(path.name)) for path in absolute]


def _joined(folder: str, name: str) -> str:
    return "/".join(part for part in (folder, name) if part not in ("", "."))


def _grouped(files: Sequence[Path], endings: Sequence[str]) -> list[tuple[Path, tuple[Path, ...]]]:
    """Return files as images of one or several channels, each with a path that has its name."""
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    found: list[tuple[Path, tuple[Path, ...]]] = []
    for folder, inside in by_folder.items():
        found += _by_endings(folder, inside, endings) if endings else _by_numbers(folder, inside)
    return found


def _by_endings(folder: Path, files: Sequence[Path], endings: Sequence[str]) -> list[tuple[Path, tuple[Path, ...]]]:
    by_name = {stem(path.name): path for path in files}
    first = endings[0]
    bases = [name.removesuffix(first) for name in by_name if name.endswith(first) and name != first]
    if not bases:
        raise FileError(f"No image in {folder} has a name that ends in {first}.")
    suffix = {base: by_name[base + first].name[len(base + first) :] for base in bases}
    return [
        (folder / base, tuple(by_name.get(base + end, folder / f"{base}{end}{suffix[base]}") for end in endings))
        for base in bases
    ]


def _by_numbers(folder: Path, files: Sequence[Path]) -> list[tuple[Path, tuple[Path, ...]]]:
    numbered = [CHANNEL.fullmatch(stem(path.name)) for path in files]
    bases: dict[str, list[Path]] = {}
    for path, match in zip(files, numbered, strict=True):
        if match is not None:
            bases.setdefault(match[1], []).append(path)
    firsts = {match[1] for match in numbered if match is not None and match[2] == "0000"}
    if None in numbered or firsts != bases.keys():
        return [(folder / stem(path.name), (path,)) for path in files]
    return [(folder / base, tuple(sorted(inside, key=lambda path: stem(path.name)))) for base, inside in bases.items()]


def _in_folder(root: Path, search: Search) -> Iterator[BatchCase]:
    found = look_as(root, search.layout) if search.layout else look(root)
    if found is not None:
        for case in found.everything:
            try:
                yield BatchCase(case.name, case.image_files)
            except FileError as error:
                yield BatchCase(case.name, (), problem=str(error))
        return
    without = None if search.without is None else search.without.resolve()
    unread: list[OSError] = []
    for folder, folders, shown in _folders_in(root, without, unread.append):
        dicom = next((name for name in shown if _may_be_dicom(name) and _is_dicom(folder / name)), None)
        below = folder.relative_to(root).as_posix()
        if dicom is not None:
            folders.clear()  # the series of a folder are those of all that is in it
            yield from _series_of(folder, _joined(below, "") or root.resolve().name, search.apart)
            continue
        files = [folder / name for name in shown if _is_image(name)]
        if search.channels and not any(stem(path.name).endswith(search.channels[0]) for path in files):
            continue
        for path, images in _grouped(files, search.channels):
            yield BatchCase(_joined(below, path.name), images)
    for refused in unread:
        folder = Path(refused.filename)
        name = _joined(folder.relative_to(root).as_posix(), "") or root.resolve().name
        yield BatchCase(name, (folder,), problem=f"The folder {folder} could not be read: {refused.strerror}.")


def _may_be_dicom(name: str) -> bool:
    return DICOM.search(name) is not None and not _is_image(name)


def _is_dicom(path: Path) -> bool:
    try:
        return path.is_file() and sniff_format(path) == "dicom"
    except OSError:
        return False


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGES) and not name.lower().endswith(MASKS)


def _series_of(folder: Path, name: str, apart: Apart) -> list[BatchCase]:
    """Return the series of a folder of DICOM, under its name, or names of their own below it."""
    try:
        found = apart.series(folder)
    except UserError as error:
        return [BatchCase(name, (folder,), problem=str(error))]
    if len(found) == 1:
        return [BatchCase(name, (folder,))]
    cases: list[BatchCase] = []
    for info in found:
        called = re.sub(r"[^\w.-]+", "-", info.name).strip("-.") or "series"
        taken = {case.name for case in cases}
        free = (f"{called}-{number}" if number > 1 else called for number in range(1, len(found) + 1))
        inner = next(one for one in free if _joined(name, one) not in taken)
        cases.append(BatchCase(_joined(name, inner), (folder,), series=info.uid))
    return cases


def _check_names(cases: Iterable[BatchCase]) -> None:
    known: dict[str, BatchCase] = {}
    for case in cases:
        parts = PurePosixPath(case.name)
        if not case.name or parts.is_absolute() or ".." in parts.parts or "\\" in case.name:
            raise SettingsError(f"A case needs a name that can name a file; got {case.name!r}.")
        if (other := known.setdefault(case.name.casefold(), case)) is not case:
            raise SettingsError(
                f"Two cases are called {case.name}: {_shown(other)} and {_shown(case)}; give the folder that holds "
                "both, a table with a column name, or one of them another name."
            )


def _shown(case: BatchCase) -> str:
    return str(case.images[0]) if case.images else "one without an image"


def with_prompts(cases: Sequence[BatchCase], place: Path) -> list[BatchCase]:
    """Return cases with their prompts: a file for each in a folder, or one file, which speaks for all."""
    if not place.is_dir():
        if not place.is_file():
            raise FileError(f"There is no file or folder {place} with prompts.")
        return [replace(case, prompts=case.prompts or (place,)) for case in cases]
    return [replace(case, prompts=case.prompts or _prompts_in(place, case.name)) for case in cases]


def _prompts_in(folder: Path, name: str) -> tuple[Path, ...]:
    wanted = [
        f"{name}{part}{ending}"
        for ending in ENDINGS
        for part in ("", ".negative", "_negative")
        if not (part and ending != ".mrk.json")
    ]
    return tuple(path for one in wanted if (path := folder / one).is_file())


def with_start(cases: Sequence[BatchCase], place: Path) -> list[BatchCase]:
    """Return cases with the masks to start from: a file of each one's name in a folder, or one file for one case."""
    if place.is_dir():
        return [replace(case, start=case.start or _mask_in(place, case.name)) for case in cases]
    if not place.is_file():
        raise FileError(f"There is no file or folder {place} with masks.")
    if len(cases) > 1:
        raise SettingsError(f"Masks to start from need a folder with one for each case; got the file {place}.")
    return [replace(case, start=place) for case in cases]


def _mask_in(folder: Path, name: str) -> Path | None:
    named = (folder / f"{name}{ending}{suffix}" for ending in MASK_ENDINGS for suffix in MASK_SUFFIXES)
    return next((path for path in named if path.is_file()), None)
