import { expect, test } from "vitest";

import { entries } from "../src/formats";

const FORMATS = [
  { suffix: ".nii.gz", title: "NIfTI, packed", flat: false },
  { suffix: ".rtstruct.dcm", title: "DICOM structure set (RTSTRUCT)", flat: false },
  { suffix: ".png", title: "PNG", flat: true },
];

test("a DICOM mask of an image from DICOM is offered with its patient and without", () => {
  expect(entries(FORMATS, true, false).map(({ title, patient }) => [title, patient])).toEqual([
    ["NIfTI, packed", "anonymous"],
    ["DICOM structure set (RTSTRUCT), anonymous", "anonymous"],
    ["DICOM structure set (RTSTRUCT), with its patient", "keep"],
  ]);
});

test("of any other image there is no patient to keep", () => {
  expect(entries(FORMATS, false, true).map(({ title }) => title)).toEqual(FORMATS.map(({ title }) => title));
});

test("what holds only a picture is not offered for a volume", () => {
  expect(entries(FORMATS, false, false).map(({ suffix }) => suffix)).toEqual([".nii.gz", ".rtstruct.dcm"]);
});
