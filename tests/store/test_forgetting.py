"""Patients who are forgotten: nothing of them stays on the disk but an entry that names nobody."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from segmend.cli import run
from segmend.core.prompts import Click
from segmend.core.session import PALETTE, Defined, Label, Prompted
from segmend.errors import NotFoundError, SettingsError
from segmend.io.anonymise import Patient
from segmend.store import Store
from segmend.store.forgetting import cases_of, expired, forget, forget_expired
from segmend.store.pseudonyms import Pseudonyms
from tests.store.conftest import Place
from tests.store.drawn import image


def worked(store: Store, patient: str, name: str = "head") -> str:
    case = store.add_case(name, image(), patient=patient, description=f"head of {patient}").id
    session = store.add_session(case, user="ada").id
    store.append(session, 0, Defined(Label(1, "lesion", PALETTE[0])), user="ada")
    store.append(session, 1, Prompted(Click((0, 1, 2)), 1, "graphcut"), user="ada")
    store.comments.add(store.case(case), f"{patient} moved", user="ada")
    store.set_status(case, "done", f"{patient} again", user="ada")
    store.thumbnail(case)
    return case


def lying(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["sqlite_place", "postgres_place"])
def test_what_is_forgotten_is_gone_and_its_proof_is_in_the_audit(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    with place.open() as store:
        case, other = worked(store, "Doe, Jane (4711)"), worked(store, "Roe, Rita (4712)")
        with store.blobs.reader(f"cases/{case}/image.npy") as file:
            voxels = file.read()

        [found] = cases_of(store, "4711")
        done = forget(store.by("ada"), found)

        assert [one.id for one in store.cases()] == [other]
        assert [key for key in store.blobs.keys("cases") if case in key] == []
        assert (done.sessions, done.events, done.masks, len(done.blobs)) == (1, 2, 0, 2)
        assert done.blobs[f"cases/{case}/image.npy"] == hashlib.sha256(voxels).hexdigest()
        entry = store.audit.newest(limit=1)[0]
        assert (entry.number, entry.person, entry.action, entry.case) == (done.entry, "ada", "forgotten", case)
        assert (entry.detail["sha256"], entry.detail["events"]) == (done.sha256, 2)
        assert store.audit.verify().damage == ()
        assert cases_of(store, "4711", "Doe, Jane") == []
        with pytest.raises(NotFoundError):
            forget(store, found)


def test_patients_are_named_by_all_that_is_listed_by_name_or_by_id(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        for patient in ("Doe, Jane (4711)", "4711 (Doe)", "P-23456789ABCD", "", "Doe, Janet (4712)"):
            store.add_case("head", image(), patient=patient)

        def found(*texts: str) -> list[str]:
            return [case.patient for case in cases_of(store, *texts)]

        assert found("doe, jane") == ["Doe, Jane (4711)"]
        assert found("4711") == ["Doe, Jane (4711)", "4711 (Doe)"]
        assert found("P-23456789ABCD", "4712") == ["P-23456789ABCD", "Doe, Janet (4712)"]
        assert found("", " ", "Doe") == ["4711 (Doe)"]
        with pytest.raises(SettingsError, match="readable name"):
            found("a\0")


def test_the_command_says_first_what_would_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: object) -> tuple[int, str, str]:
        code = run([*map(str, arguments), "--folder", str(tmp_path / "data")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    with Store.local(tmp_path / "data") as store:
        case = worked(store, "Doezzz, Jane (Q4711)", "head of Doezzz")
        worked(store, "Doezzz, Jane (Q4713)")
        worked(store, "P-23456789ABCD")
    pseudonyms = Pseudonyms.local(tmp_path / "data")
    pseudonyms.keep([Patient("P-23456789ABCD", "999", "", "Hidden^Hanna")])
    pseudonyms.close()

    assert said("forget")[2] == "Forgetting needs a patient, or --expired.\n"
    assert said("forget", "nobody")[2] == "There is no case of the patient 'nobody'.\n"
    assert "Several patients are called so" in said("forget", "Doezzz, Jane", "--yes")[2]
    assert case in said("forget", "Q4711")[1]
    assert b"Doezzz" in lying(tmp_path / "data")
    code, out, err = said("forget", "Q4711", "--yes", "--proof", tmp_path / "proof.json")
    assert (code, err) == (0, "")
    assert "1 cases are deleted for good." in out
    assert [one["case"] for one in json.loads((tmp_path / "proof.json").read_text())["forgotten"]] == [case]
    assert said("forget", "Q4713", "--yes")[0] == 0
    assert said("forget", "999", "--yes")[0] == 0
    left = lying(tmp_path / "data")
    assert not [secret for secret in (b"Doezzz", b"Q4711", b"Hanna", b"P-23456789ABCD") if secret in left]
    assert said("audit", "--action", "forgotten")[1].count("forgotten") == 3
    assert said("audit", "--verify")[0] == 0


def test_cases_go_when_nobody_has_changed_them_for_as_long_as_their_project_says(
    sqlite_place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite_place.open() as store:
        store.add_project("lungs")
        kept = store.add_case("head", image()).id
        old = store.add_case("head", image(), project="lungs").id
        assert expired(store, datetime.now(UTC) + timedelta(days=1000)) == []
        with pytest.raises(SettingsError, match="kept for 1 to 36500 days; got 0"):
            store.set_retention("lungs", 0)
        assert store.set_retention("lungs", 30).retention_days == 30
        assert forget_expired(store) == []
        assert [one.id for one in expired(store, datetime.now(UTC) + timedelta(days=31))] == [old]
        assert kept in [one.id for one in store.cases()]
    place = ["--folder", str(tmp_path / "data")]
    assert run(["retention", "lungs", "none", *place]) == 0
    assert run(["retention", *place]) == 0
    assert capsys.readouterr().out.splitlines() == ["lungs  kept", "default  kept", "lungs  kept"]
    assert run(["forget", "--expired", *place]) == 0
    assert run(["retention", "lungs", "soon", *place]) == 2
