"""DICOM files without what names a patient: the basic profile of DICOM PS3.15, annex E.

What is done with each attribute is the table of the standard (E.1-1) as the package dicom-anonymizer keeps it; how
is here, for that package draws new UIDs at random and sets dates to the year 1. Files are written anew into another
folder. In all of them

- names and ids of a patient become one pseudonym, the same for the same id with the same key;
- UIDs become others, the same for the same one with the same key, so that references and series hold;
- dates go or, with the profile "basic-shifted", move by as many days for all files of a patient; times stay with them;
- private attributes, those that nobody knows, and sequences that the table removes go, and the others are looked into;
- a text that still holds the patient's id or family name goes, wherever it stands.

Files that hold no image, such as reports and DICOMDIR, and those that are no DICOM are left out, for they are not gone
through. Of whole-slide images the pictures of the label and of all of the glass are left out, and a level that shows
the label is refused. Names of files say nothing. Pixels stay as they are: where text may be burnt into them, a sentence
says so.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from segmend.errors import DiskFullError, FileError, SettingsError, UserError
from segmend.io.dicom import is_dicom, load_header, load_whole
from segmend.io.dicomslides import PIXELS, may_be_whole_slide

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

Profile = Literal["basic", "basic-shifted"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
# The edition of the table.
EDITION = "dicomfields_2026c"
# The fewest and the most days by which a patient's dates move into the past.
LEAST_DAYS, MOST_DAYS = 30, 1500
# Letters of a pseudonym: none that is taken for another one.
LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LETTERS_OF_A_PSEUDONYM = 12
# Characters of a patient's id or family name below which a text is not searched for it.
TELLING = 4
# What takes the place of a text that has to be there.
DUMMY = "ANONYMISED"
# What classes and kinds of images often have text in their pixels.
OFTEN_BURNT_IN = ("US", "IVUS", "ES", "XC", "GM", "SM", "OT", "DOC", "RF", "XA")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# What ends pixels in pieces, a length that nobody says before, and the bytes that are copied at once.
DELIMITER, UNKNOWN_LENGTH, PIECE = b"\xfe\xff\xdd\xe0", 0xFFFFFFFF, 1 << 20
# Codes of what was done (CID 7050).
BASIC, SHIFTED = ("113100", "Basic Application Confidentiality Profile"), (
    "113107", "Retain Longitudinal Temporal Information Modified Dates Option",
)  # fmt: skip
Steps = Literal["remove", "empty", "replace", "uid", "look into"]


@dataclass(frozen=True)
class Patient:
    """Whose files they are, for who keeps pseudonyms."""

    pseudonym: str
    id: str
    issuer: str
    name: str


@dataclass(frozen=True)
class Anonymised:
    """What came of the files at a place."""

    patients: tuple[Patient, ...]  # none: there were no DICOM files
    warnings: tuple[str, ...]


def anonymise(place: Path, profile: Profile, key: bytes, target: Path) -> Anonymised:
    """Write the DICOM images at a path without what names a patient into an empty folder.

    FileError where one is damaged, or where all DICOM files are other things than images.
    """
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    known = [path for path in files if _has_dicom_head(path)]
    patients: dict[str, Patient] = {}
    burnt_in, left_out, number = [], len(files) - len(known), 0
    labels = 0
    for path in known:
        slide = may_be_whole_slide(path)
        data = load_header(path)[0] if slide else load_whole(path)
        if slide and shows_label(data, path.name):
            labels += 1
            continue
        if "Rows" not in data:
            left_out += 1
            continue
        number += 1
        patient = patient_of(data, key)
        patients[patient.pseudonym] = patient
        if (why := may_show_text(data)) is not None:
            burnt_in.append(why)
        _write(data, patient, profile, key, path, target, slide=slide)
    if known and not patients:
        raise FileError(f"{place.name} holds no DICOM image, and what holds none is not anonymised.")
    warnings = [f"Text may be burnt into {len(burnt_in)} of {number} images ({burnt_in[0]}); look."] if burnt_in else []
    if labels:
        warnings.append(f"{labels} pictures of a slide's label or of all of the glass were left out.")
    if known and left_out:
        warnings.append(f"{left_out} files that are no DICOM images were left out.")
    return Anonymised(tuple(patients.values()), tuple(warnings))


def shows_label(data: Dataset, name: str) -> bool:
    """Tell whether a picture of a whole-slide image shows the glass's label; FileError where one of its levels does."""
    kind = [str(word).upper() for word in _listed(data.get("ImageType"))]
    if "LABEL" in kind or "OVERVIEW" in kind:
        return True
    if str(data.get("SpecimenLabelInImage", "") or "").upper() != "YES":
        return False
    if "THUMBNAIL" in kind:
        return True
    raise FileError(f"{name} has the label of the glass in its pixels, which may name the patient: it is refused.")


def _write(
    data: Dataset, patient: Patient, profile: Profile, key: bytes, origin: Path, target: Path, *, slide: bool
) -> None:
    """Write what remains of a data set; the pixels of a slide, which may be larger than the memory, are copied."""
    begin = load_header(origin)[1] if slide else 0
    explicit = data.original_encoding[0] is False
    try:
        clean(data, patient, profile, key)
        uid = str(data.get("SOPInstanceUID", "") or origin)
        path = target / f"{sha256(uid.encode()).hexdigest()[:32]}.dcm"
        data.save_as(path)
        if slide:
            with origin.open("rb") as source, path.open("ab") as file:
                source.seek(begin)
                copy_pixels(source, file, origin.name, explicit=explicit)
    except OSError as error:
        raise DiskFullError(f"There is no room to anonymise files: {error.strerror}.") from None
    except UserError:
        raise
    except Exception:  # a damaged file makes the parser raise almost anything, and its words may quote the file
        raise FileError(f"{origin.name} could not be anonymised; its elements are damaged.") from None


def copy_pixels(source: BinaryIO, target: BinaryIO, name: str, *, explicit: bool) -> None:
    """Copy the element of the pixels, and nothing of what may stand behind it; FileError where it is cut short."""
    head = _bytes(source, 12 if explicit else 8, name)
    if head[:4] != PIXELS:
        raise FileError(f"{name} has pixels that cannot be copied as they are: it is refused.")
    target.write(head)
    length = int.from_bytes(head[-4:], "little")
    if length != UNKNOWN_LENGTH:
        _copy(source, target, length, name)
        return
    while True:
        item = _bytes(source, 8, name)
        target.write(item)
        _copy(source, target, int.from_bytes(item[4:], "little"), name)
        if item[:4] == DELIMITER:
            return


def _copy(source: BinaryIO, target: BinaryIO, length: int, name: str) -> None:
    while length:
        piece = _bytes(source, min(length, PIECE), name)
        target.write(piece)
        length -= len(piece)


def _bytes(source: BinaryIO, count: int, name: str) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise FileError(f"{name} is cut short: {count} bytes are needed, {len(data)} came.")
    return data


def patient_of(data: Dataset, key: bytes) -> Patient:
    """Return whose a file is; without an id the name and the day of birth tell."""
    said = [str(data.get(name, "") or "").strip() for name in ("PatientID", "IssuerOfPatientID", "PatientName")]
    told = ["id", *said[:2]] if said[0] else ["name", said[2].upper(), str(data.get("PatientBirthDate", "") or "")]
    return Patient(pseudonym_of(told, key), *said)


def pseudonym_of(told: Sequence[str], key: bytes) -> str:
    """Return the pseudonym of what tells a patient from others.

    >>> pseudonym_of(["id", "4711", ""], b"key") == pseudonym_of(["id", "4711", ""], b"key")
    True
    >>> pseudonym_of(["id", "4711", ""], b"other key") == pseudonym_of(["id", "4711", ""], b"key")
    False
    """
    number = _number("patient", "\0".join(told), key)
    digits = []
    for _ in range(LETTERS_OF_A_PSEUDONYM):
        number, digit = divmod(number, len(LETTERS))
        digits.append(LETTERS[digit])
    return f"P-{''.join(digits)}"


def new_uid(uid: str, key: bytes) -> str:
    """Return the UID that takes the place of another one.

    >>> new_uid("1.2.3", b"key") == new_uid("1.2.3", b"key"), new_uid("1.2.3", b"key")[:5]
    (True, '2.25.')
    """
    return f"2.25.{_number('uid', uid, key) >> 128}"


def _number(kind: str, text: str, key: bytes) -> int:
    return int.from_bytes(hmac.digest(key, f"{kind}\0{text}".encode("utf-8", "replace"), sha256))


def days_of(patient: Patient, key: bytes) -> int:
    """Return by how many days a patient's dates move into the past."""
    return LEAST_DAYS + _number("days", patient.pseudonym, key) % (MOST_DAYS - LEAST_DAYS + 1)


def clean(data: Dataset, patient: Patient, profile: Profile, key: bytes) -> None:
    """Take what names a patient out of a data set."""
    shifted = profile == "basic-shifted"
    telling = [patient.id, patient.name.partition("^")[0].partition(" ")[0]]
    words = tuple(word.casefold() for word in telling if len(word) >= TELLING)
    _Cleaning(patient.pseudonym, words, days_of(patient, key) if shifted else None, key).clean(data)
    meta = getattr(data, "file_meta", None)
    if meta is not None:
        for tag in [tag for tag in meta.keys() if tag.group != 2 or tag.element > 0x0013]:  # noqa: SIM118
            del meta[tag]
        if "SOPInstanceUID" in data:
            meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    if getattr(data, "preamble", None):
        data.preamble = bytes(128)
    data.PatientName = data.PatientID = patient.pseudonym
    data.PatientIdentityRemoved = "YES"
    data.LongitudinalTemporalInformationModified = "MODIFIED" if shifted else "REMOVED"
    data.DeidentificationMethod = "Segmend, DICOM PS3.15 basic profile"
    data.DeidentificationMethodCodeSequence = [_code(*BASIC), *([_code(*SHIFTED)] if shifted else [])]


def _code(value: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


@dataclass(frozen=True)
class _Cleaning:
    """What is done to the attributes of one patient's files."""

    pseudonym: str
    words: tuple[str, ...]  # that tell the patient, in letters of one case
    days: int | None  # by which dates move; None: they go
    key: bytes

    def clean(self, data: Dataset) -> None:
        table = _table()
        for tag in list(data.keys()):
            if tag.group == 0x7FE0:  # pixels
                continue
            if tag.is_private:
                del data[tag]
                continue
            element = data[tag]
            step = table.get((tag.group, tag.element)) or _repeating(tag.group, tag.element)
            if step is None and _is_unknown(element):
                step = "remove"
            if element.VR in ("DA", "DT", "TM") and (tag.group, tag.element) != (0x0010, 0x0030):
                self._move(data, element, step)
            elif step == "remove":
                del data[tag]
            elif step is not None:
                self._change(element, step)
            elif element.VR == "SQ":
                self._look_into(element)
            elif element.VR == "PN" or self._tells(element):
                element.value = "" if element.VM <= 1 else []

    def _move(self, data: Dataset, element: DataElement, step: Steps | None) -> None:
        """Move a date, or take it away; without dates times go, too."""
        if self.days is not None:
            if element.VR != "TM":
                element.value = _moved(element.value, self.days, element.VR)
        elif step in ("remove", None):
            del data[element.tag]
        else:
            element.value = ""

    def _change(self, element: DataElement, step: Steps) -> None:
        if element.VR == "SQ":
            if step in ("uid", "look into"):
                self._look_into(element)
            else:
                element.value = []
        elif element.VR == "UI":
            self._map_uids(element)
        elif element.tag == 0x00100020:
            element.value = self.pseudonym
        elif step == "replace":
            element.value = _dummy(element.VR)
        else:
            element.value = b"" if element.VR.startswith("O") or element.VR == "UN" else None

    def _look_into(self, element: DataElement) -> None:
        for item in element.value:
            self.clean(item)

    def _map_uids(self, element: DataElement) -> None:
        values = [element.value] if element.VM <= 1 else list(element.value)
        found = [new_uid(str(value), self.key) if value else "" for value in values]
        element.value = found[0] if element.VM <= 1 else found

    def _tells(self, element: DataElement) -> bool:
        """Tell whether a text holds the patient's id or family name."""
        if element.VR not in ("AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT") or element.value is None:
            return False
        text = str(element.value).casefold()
        return any(word in text for word in self.words)


def _is_unknown(element: DataElement) -> bool:
    return element.VR == "UN" or (element.keyword == "" and not _is_repeater(element.tag.group))


def _is_repeater(group: int) -> bool:
    return 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF


def _repeating(group: int, element: int) -> Steps | None:
    """Return what the table says of curves and overlays, whose groups repeat."""
    curve = 0x5000 <= group <= 0x50FF
    overlay = 0x6000 <= group <= 0x60FF and element in (0x3000, 0x4000)
    return "remove" if curve or overlay else None


def _moved(value: Any, days: int, kind: str) -> Any:
    """Return a date or a moment so many days before; nothing of what is none."""
    if value is None or not str(value):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_moved(one, days, kind) for one in value]
    text = str(value)
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])) - timedelta(days=days)
    except (ValueError, OverflowError):  # of a year or a month alone, or none at all
        return ""
    return f"{day:%Y%m%d}{text[8:] if kind == 'DT' else ''}"


def _dummy(kind: str) -> Any:
    match kind:
        case "AS":
            return "000Y"
        case "DS" | "IS":
            return "0"
        case "FD" | "FL" | "SS" | "US" | "SL" | "UL" | "SV" | "UV":
            return 0
        case _ if kind.startswith("O") or kind == "UN":
            return bytes(8)
        case "UR":
            return "http://anonymised.invalid"
        case _:
            return DUMMY


def check_installed() -> None:
    """Raise SettingsError where the standard's table is not there."""
    _table()


@cache
def _table() -> Mapping[tuple[int, int], Steps]:
    """Return what is to be done with each attribute that the standard names."""
    try:
        from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector as select
    except ModuleNotFoundError:
        raise SettingsError("Anonymising needs dicom-anonymizer: pip install 'segmend[anonymise]'.") from None
    steps: Mapping[str, Steps] = {
        "X_TAGS": "remove", "Z_TAGS": "empty", "X_Z_TAGS": "empty", "Z_D_TAGS": "empty", "D_TAGS": "replace",
        "X_D_TAGS": "replace", "X_Z_D_TAGS": "replace", "U_TAGS": "uid", "X_Z_U_STAR_TAGS": "look into",
    }  # fmt: skip
    kept = select(EDITION)
    return {tuple(tag): step for name, step in steps.items() for tag in kept[name] if len(tag) == 2}


def may_show_text(data: Dataset) -> str | None:
    """Return why a patient's name may be seen in the pixels of a file; None where nothing hints at it."""
    said = str(data.get("BurnedInAnnotation", "") or "").upper()
    if said == "YES":
        return "its file says so"
    if said == "NO":
        return None
    if str(data.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE):
        return "a secondary capture"
    kinds = [str(one).upper() for one in _listed(data.get("ImageType"))]
    if any("SCREEN" in kind for kind in kinds):
        return "a screenshot"
    modality = str(data.get("Modality", "") or "").upper()
    if modality in OFTEN_BURNT_IN:
        return f"modality {modality}"
    return None


def _listed(value: Any) -> Iterator[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        yield from () if value is None else (value,)
    else:
        yield from value


def _has_dicom_head(path: Path) -> bool:
    with path.open("rb") as file:
        return is_dicom(file.read(132))
