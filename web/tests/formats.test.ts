import { expect, test } from "vitest";

import { entries } from "../src/formats";

const FORMATS = [
  { suffix: ".nii.gz", title: "NIfTI, packed" },
  { suffix: ".rtstruct.dcm", title: "DICOM structure set (RTSTRUCT)" },
];

test("a DICOM mask of an image from DICOM is offered with its patient and without", () => {
  expect(entries(FORMATS, true).map(({ title, patient }) => [title, patient])).toEqual([
    ["NIfTI, packed", "anonymous"],
    ["DICOM structure set (RTSTRUCT), anonymous", "anonymous"],
    ["DICOM structure set (RTSTRUCT), with its patient", "keep"],
  ]);
});

test("of any other image there is no patient to keep", () => {
  expect(entries(FORMATS, false).map(({ title }) => title)).toEqual(FORMATS.map(({ title }) => title));
});
