import { expect, test } from "vitest";

import type { Format } from "../src/api";
import { archiveAddress, entries, fits } from "../src/formats";
import { ALL, parameters } from "../src/worklist";

const FORMATS: Format[] = [
  { suffix: ".nii.gz", title: "NIfTI, packed", flat: false, group: "masks", of: "any" },
  { suffix: ".rtstruct.dcm", title: "DICOM structure set (RTSTRUCT)", flat: false, group: "masks", of: "any" },
  { suffix: ".png", title: "PNG", flat: true, group: "masks", of: "picture" },
  { suffix: ".stl", title: "STL surface", flat: false, group: "surfaces", of: "volume" },
  { suffix: ".csv", title: "Table of measures", flat: false, group: "reading", of: "any" },
];

test("a DICOM mask of an image from DICOM is offered with its patient and without", () => {
  expect(entries(FORMATS, true, false).map(({ title, patient }) => [title, patient])).toEqual([
    ["NIfTI, packed", "anonymous"],
    ["DICOM structure set (RTSTRUCT), anonymous", "anonymous"],
    ["DICOM structure set (RTSTRUCT), with its patient", "keep"],
  ]);
});

test("of any other image there is no patient to keep", () => {
  expect(entries(FORMATS, false, true).map(({ title }) => title)).toEqual([
    "NIfTI, packed",
    "DICOM structure set (RTSTRUCT)",
    "PNG",
  ]);
});

test("what holds only a picture is not offered for a volume, and no surface of a picture", () => {
  expect(entries(FORMATS, false, false).map(({ suffix }) => suffix)).toEqual([".nii.gz", ".rtstruct.dcm"]);
  expect(FORMATS.map((format) => [fits(format, true), fits(format, false)])).toEqual([
    [true, true],
    [true, true],
    [true, false],
    [false, true],
    [true, true],
  ]);
});

test("the zip is asked for by what it is to hold and of which cases", () => {
  const kinds = new Set([".nii.gz", "training"]);
  expect(archiveAddress({ kinds, cases: "a1", patient: false })).toBe(
    "api/results.zip?case=a1&kind=.nii.gz&kind=training",
  );
  const cases = parameters({ ...ALL, project: "livers", statuses: ["done"] });
  expect(archiveAddress({ kinds, cases, patient: true })).toBe(
    "api/results.zip?sort=added&status=done&project=livers&kind=.nii.gz&kind=training&patient=keep",
  );
});
