"""Folders of cases: what split.json may say, several images a case, instances, and every refusal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.datasets.case import told_splits
from segmend.datasets.folder import sets, stacked
from segmend.datasets.generic import NamedCase
from segmend.errors import FileError, GeometryError, SettingsError

LABELS = [Label(value, f"label {value}", (255, 0, 0)) for value in range(1, 6)]


def write_case(
    folder: Path, name: str, labels: Any, *, images: tuple[str, ...] = ("{id}",), suffix: str = ".png"
) -> Any:
    """Write one case whose image is brighter where the label is higher; return the image."""
    spacing = (1, 1, 1) if suffix == ".png" else (3, 1.5, 0.5)
    affine = scale_affine(spacing)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    image = Image((labels[None] * 40 + 10).astype(np.uint8), affine)
    for number, template in enumerate(images):
        path = folder / "images" / (template.replace("{id}", name) + suffix)
        io.write_image(path, Image(image.voxels + np.uint8(number), affine))
    io.write_mask(folder / "labels" / (name + suffix), labels, image, LABELS)
    return image


def write_split(folder: Path, **values: Any) -> None:
    (folder / "split.json").write_text(json.dumps(values))


def flat_labels() -> Any:
    labels = np.zeros((1, 20, 30), np.uint16)
    labels[0, 2:9, 3:13] = 1
    labels[0, 12:18, 15:28] = 2
    labels[0, 0, 0:19] = 3  # 19 pixels: too small
    labels[0, 19, 0:20] = 4  # 20: just large enough
    return labels


def solid_labels() -> Any:
    labels = np.zeros((4, 20, 30), np.uint16)
    labels[1:3, 2:9, 3:13] = 1
    labels[0, 12, 0:25] = labels[0, 14, 0:24] = 2  # 49 voxels: too small
    labels[3, 15:20, 10:20] = 3  # 50
    return labels


def test_a_folder_of_pictures_gives_its_objects(tmp_path: Path) -> None:
    image = write_case(tmp_path / "cells", "a", flat_labels())
    write_split(tmp_path / "cells", train=[], val=["a"])

    (one,) = sets(tmp_path / "cells", "val")

    assert one.name == "cells"
    example = one.cases[0].read()
    assert np.array_equal(example.image.voxels, image.voxels)
    assert example.image is example.first
    found = dict(example.objects())
    assert sorted(found) == [1, 2, 4]
    assert all(np.array_equal(mask, flat_labels() == value) for value, mask in found.items())


def test_volumes_keep_their_spacing_and_need_fifty_voxels(tmp_path: Path) -> None:
    write_case(tmp_path, "a", solid_labels(), suffix=".nii.gz")
    write_split(tmp_path, val=["a"])

    example = sets(tmp_path, "val")[0].cases[0].read()

    assert example.image.spacing.tolist() == [3.0, 1.5, 0.5]
    assert [value for value, _ in example.objects()] == [1, 3]


def test_several_images_become_channels_in_their_order(tmp_path: Path) -> None:
    templates = ("{id}_flair", "{id}_t1c")
    image = write_case(tmp_path, "pat1", solid_labels(), images=templates, suffix=".nii.gz")
    write_split(tmp_path, val=["pat1"], images_per_case=list(templates))

    example = sets(tmp_path, "val")[0].cases[0].read()

    assert np.array_equal(example.image.voxels, np.concatenate([image.voxels, image.voxels + 1]))
    assert np.array_equal(example.first.voxels, image.voxels)


def test_a_folder_of_folders_gives_the_sets_that_have_the_split(tmp_path: Path) -> None:
    for name, split in (("b", {"val": ["one", "two"]}), ("a", {"val": ["one"]}), ("c", {"val": [], "train": ["one"]})):
        write_case(tmp_path / name, "one", flat_labels())
        write_split(tmp_path / name, **split)
    (tmp_path / "DATASETS.md").write_text("not a set")
    (tmp_path / "notes").mkdir()

    assert [(one.name, [case.name for case in one.cases]) for one in sets(tmp_path, "val")] == [
        ("a", ["one"]),
        ("b", ["one", "two"]),
    ]
    assert [len(one.cases) for one in sets(tmp_path, "val", limit=1)] == [1, 1]
    assert [one.name for one in sets(tmp_path, "all")] == ["a", "b", "c"]


def test_what_split_json_says_of_instances_is_kept(tmp_path: Path) -> None:
    write_case(tmp_path, "a", flat_labels())
    write_split(tmp_path, val=["a"], labels="16-bit instance ids", unit="case", test_held_out=3)

    assert sets(tmp_path, "val")[0].cases[0].instances


def test_names_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "a.b", "a_b"):
        write_case(tmp_path, name, flat_labels())

    assert NamedCase(tmp_path, "a", ("a",)).read().image.flat


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("{", "needs to be JSON; this is not"),
        ("[]", "needs names of splits; got list"),
        ('{"val": ["../secret"]}', "plain names of cases; got '../secret'"),
        ('{"val": ["a"], "images_per_case": ["flair"]}', r"images_per_case with \{id\} in each; got \['flair'\]"),
        ('{"val": ["a"], "images_per_case": []}', r"images_per_case with \{id\} in each"),
    ],
)
def test_a_wrong_split_is_explained(tmp_path: Path, split: str, words: str) -> None:
    write_case(tmp_path, "a", flat_labels())
    (tmp_path / "split.json").write_text(split)

    with pytest.raises(FileError, match=words):
        sets(tmp_path, "val")


def test_a_split_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="split.json of .* could not be read: No such file"):
        told_splits(tmp_path)


def test_without_a_split_the_cases_are_those_with_labels(tmp_path: Path) -> None:
    for number in range(20):
        write_case(tmp_path, f"case{number}.b", flat_labels())
    (tmp_path / "labels" / ".DS_Store").write_bytes(b"what a Mac leaves")

    by_split = {split: [case.name for case in sets(tmp_path, split)[0].cases] for split in ("train", "val", "test")}

    assert sorted(name for names in by_split.values() for name in names) == sorted(f"case{i}.b" for i in range(20))
    assert sets(tmp_path, "train")[0].cases[0].read().labels.any()
    (tmp_path / "images" / f"{by_split['val'][0]}.png").unlink()
    with pytest.raises(FileError, match=f"one file images/{by_split['val'][0]} with a suffix"):
        sets(tmp_path, "val")[0].cases[0].read()


def test_folders_and_splits_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="There is no folder .*nowhere"):
        sets(tmp_path / "nowhere", "val")
    with pytest.raises(FileError, match="images/ and labels/ with split.json"):
        sets(tmp_path, "val")
    write_case(tmp_path, "a", flat_labels())
    write_split(tmp_path, val=["a"], test=[])
    with pytest.raises(SettingsError, match=r"no split 'dev' in .*; there are all, test, val\."):
        sets(tmp_path, "dev")
    with pytest.raises(SettingsError, match="The split 'test' of .* has no cases"):
        sets(tmp_path, "test")
    with pytest.raises(SettingsError, match="1 case or more; got 0"):
        sets(tmp_path, "val", limit=0)


def test_a_missing_or_doubled_file_is_named_when_the_case_is_read(tmp_path: Path) -> None:
    write_case(tmp_path, "a", flat_labels())

    with pytest.raises(FileError, match=r"one file images/b with a suffix that can be read; found none\."):
        NamedCase(tmp_path, "b", ("b",)).read()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    with pytest.raises(FileError, match=r"found a\.jpg, a\.png\."):
        NamedCase(tmp_path, "a", ("a",)).read()


def test_images_of_one_case_must_share_a_grid() -> None:
    voxels = np.zeros((1, 2, 3, 4))
    with pytest.raises(GeometryError, match=r"one grid; got shapes \(2, 3, 4\) and \(2, 3, 5\)"):
        stacked([Image(voxels), Image(np.zeros((1, 2, 3, 5)))])
    with pytest.raises(GeometryError, match=r"spacings \[1.0, 1.0, 1.0\] and \[2.0, 1.0, 1.0\]"):
        stacked([Image(voxels), Image(voxels, scale_affine((2, 1, 1)))])


@pytest.mark.skipif("SEGMEND_DATA" not in os.environ, reason="SEGMEND_DATA names no folder of data sets")
def test_the_real_data_sets_can_be_read() -> None:
    for one in sets(Path(os.environ["SEGMEND_DATA"]), "val", limit=1):
        example = one.cases[0].read()
        assert example.labels.shape == example.image.shape
        assert list(example.objects()), one.name


def test_a_persons_scribbles_are_read_by_label_value(tmp_path: Path) -> None:
    image = write_case(tmp_path, "a", flat_labels())
    write_split(tmp_path, val=["a"])
    (case,) = sets(tmp_path, "val")[0].cases
    assert case.scribbles(image) is None
    lines = np.full((1, 20, 30), 9, np.uint16)  # nothing was drawn there
    lines[0, 4, 4:8] = 1
    lines[0, 19, 20:30] = 0
    (tmp_path / "scribbles").mkdir()
    io.write_mask(tmp_path / "scribbles" / "a.png", lines, image, [*LABELS, Label(9, "nothing", (0, 255, 0))])

    found = case.scribbles(image)

    assert found is not None
    assert {value: int(mask.sum()) for value, mask in found.items()} == {0: 10, 1: 4}
    assert found[1][0, 4, 4:8].all()
