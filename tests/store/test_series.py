"""Series beside a case's image, and the labels that a project begins with: kept, checked, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from segmend.core.image import Image, scale_affine
from segmend.core.session import PALETTE, Label
from segmend.errors import GeometryError, NotFoundError, SettingsError, StoreError
from segmend.io.segmentcodes import codes_of
from segmend.store import Store
from segmend.store.verify import verify
from tests.store.conftest import Place
from tests.store.drawn import image
from tests.store.older import drop_series

PET = Image(np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4) - 5, scale_affine((4, 3, 1)), ("A note.",))


@pytest.fixture(params=["sqlite_place", "postgres_place", "s3_place"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    place: Place = request.getfixturevalue(request.param)
    with place.open() as opened:
        yield opened


def test_a_series_is_kept_with_its_own_grid_and_goes_with_its_case(store: Store) -> None:
    case = store.add_case("thorax", image(), modality="CT", frame="1.2.3").id

    added = store.add_series(case, "PET", PET, modality="PT", frame="1.2.3")

    assert store.case(case).frame == "1.2.3"
    assert store.series(case) == [added] and store.one_series(added.id) == added
    assert (added.name, added.modality, added.shape, added.lowest) == ("PET", "PT", (2, 3, 4), -5)
    back = store.series_image(added.id)
    np.testing.assert_array_equal(back.voxels, PET.voxels)
    np.testing.assert_array_equal(back.affine, PET.affine)
    assert back.notes == ("A note.",)
    assert not any(finding.damage for finding in verify(store))

    store.delete_series(added.id)
    assert store.series(case) == []
    with pytest.raises(NotFoundError, match="There is no series"):
        store.series_image(added.id)

    again = store.add_series(case, "PET", PET)
    store.delete_case(case)
    with pytest.raises(NotFoundError, match="There is no series"):
        store.one_series(again.id)
    assert store.blob_owners() == []


def test_a_series_that_cannot_be_related_leaves_nothing(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        case = store.add_case("thorax", image(), frame="1.2.3").id
        with pytest.raises(GeometryError, match="of another frame of reference"):
            store.add_series(case, "T2", PET, frame="1.2.4")
        assert store.series(case) == [] and len(store.blobs_of(case)) == 1


def test_damage_of_a_series_is_noticed(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        case = store.add_case("thorax", image()).id
        one, two = (store.add_series(case, name, PET).id for name in ("one", "two"))
        blob = tmp_path / "blobs" / "cases" / case / "series" / f"{one}.npy"
        blob.write_bytes(blob.read_bytes()[:-4] + b"\1\2\3\4")
        with store._database.writing() as connection:
            connection.execute(text("UPDATE series SET lowest = 7 WHERE id = :id"), {"id": two})

        with pytest.raises(StoreError, match="is damaged"):
            store.series_image(one)
        with pytest.raises(StoreError, match=f"Series {two} is damaged"):
            store.one_series(two)
        assert any(finding.damage and one in finding.damage for finding in verify(store))


def test_a_project_has_labels_to_begin_with(store: Store) -> None:
    store.add_project("abdomen")
    wanted = [Label(9, "Liver", PALETTE[2], locked=True), Label(9, "Mine", PALETTE[0], codes=codes_of("kidney_left"))]

    assert store.project("abdomen").template == ()
    changed = store.set_template("abdomen", wanted)

    assert changed == store.project("abdomen")
    assert changed.template == (
        Label(1, "Liver", PALETTE[2]),
        Label(2, "Mine", PALETTE[0], codes=codes_of("kidney_left")),
    )
    assert {project.name: len(project.template) for project in store.projects()} == {"abdomen": 2, "default": 0}
    for labels in ([wanted[0], wanted[0]], [Label(1, " ", PALETTE[0])]):
        with pytest.raises(SettingsError, match="need names, each another one"):
            store.set_template("abdomen", labels)
    with pytest.raises(NotFoundError, match="no project 'none'"):
        store.set_template("none", [])


@pytest.mark.parametrize("name", ["sqlite_place", "postgres_place"])
def test_a_store_of_before_gets_series_and_templates(name: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(name)
    with place.open() as store:
        case = store.add_case("old", image()).id
        with store._database.writing() as connection:
            drop_series(connection)
            connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))

    with place.open() as store:
        assert store.case(case).frame == "" and store.series(case) == []
        assert store.project("default").template == ()
        store.add_series(case, "PET", PET, frame="1.2.3")  # whose frame of reference nothing contradicts
        np.testing.assert_array_equal(store.image(case).voxels, image().voxels)
