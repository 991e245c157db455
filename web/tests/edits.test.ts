import { describe, expect, it } from "vitest";
import type { Edit } from "../src/api";
import { BRUSH, changeOf, copyOf, describeEdit, paintOf, placeOfEdit } from "../src/edits";
import { PHOTO, planesOf } from "../src/geometry";

const LABELS = [
  { value: 1, name: "Liver" },
  { value: 2, name: "Tumour" },
];
const LINE = [
  [1, 2, 3],
  [1, 2, 4],
] as const;

describe("a brush", () => {
  it("keeps to its plane and takes every value", () => {
    expect(paintOf(BRUSH, LINE, 1, 3, true)).toEqual({
      kind: "paint",
      points: LINE,
      positive: true,
      radius: 3,
      unit: "voxels",
      axis: 1,
      square: false,
      within: null,
    });
  });

  it("may be a ball and keep to values", () => {
    const brush = { square: true, space: true, limited: true, low: -50, high: 20 };
    expect(paintOf(brush, LINE, 1, 3, false)).toMatchObject({
      positive: false,
      axis: null,
      square: true,
      within: [-50, 20],
    });
  });
});

describe("a copy", () => {
  const sagittal = planesOf([
    [0, 0, 1, 0],
    [0, 1, 0, 0],
    [1, 0, 0, 0],
  ]).sagittal;

  it("goes to the slice beside the one in view", () => {
    expect(copyOf(sagittal, [3, 4, 5], [1, 1, 2], 1)).toEqual({ kind: "copy_slice", axis: 2, source: 2, target: 3 });
    expect(copyOf(sagittal, [3, 4, 5], [1, 1, 2], -1)).toMatchObject({ target: 1 });
  });

  it("ends at the last slice", () => {
    expect(copyOf(sagittal, [3, 4, 5], [1, 1, 4], 1)).toBeNull();
    expect(copyOf(PHOTO, [1, 4, 5], [0, 1, 1], -1)).toBeNull();
  });
});

describe("what an edit did", () => {
  const cases: [Edit, string][] = [
    [paintOf(BRUSH, LINE, 0, 3, true), "Painted"],
    [paintOf({ ...BRUSH, limited: true, low: 30, high: 61.234 }, LINE, 0, 3, false), "Erased within 30 to 61.23"],
    [{ kind: "fill_holes", axis: null }, "Filled holes"],
    [{ kind: "fill_holes", axis: 0 }, "Filled holes, slice by slice"],
    [{ kind: "remove_small", below_mm3: 50 }, "Removed parts under 50 mm³"],
    [{ kind: "component", index: [0, 1, 2], action: "keep", axis: null }, "Kept one part"],
    [{ kind: "grow", mm: -1.5 }, "Shrank by 1.5 mm"],
    [{ kind: "threshold", within: [null, 7], region: null, margin_mm: 3, inside: "add" }, "Threshold up to 7"],
    [{ kind: "threshold", within: [7, null], region: null, margin_mm: 3, inside: "add" }, "Threshold from 7"],
    [{ kind: "combine", operation: "union", other: 2, margin_mm: 0 }, "Took over Tumour"],
    [{ kind: "combine", operation: "subtract", other: 2, margin_mm: 2 }, "Kept 2 mm away from Tumour"],
    [{ kind: "copy_slice", axis: 0, source: 3, target: 4 }, "Copied slice 4 to 5"],
    [{ kind: "cut", points: LINE, index: [1, 0, 0], axis: 0, to: 7, through: true }, "Cut a part off, now label 7"],
    [{ kind: "cut", points: LINE, index: [1, 0, 0], axis: 0, to: null, through: true }, "Cut a part off"],
  ];

  it.each(cases)("%o", (edit, words) => {
    expect(describeEdit(edit, LABELS)).toBe(words);
  });

  it("has a place where it has one", () => {
    expect(placeOfEdit(paintOf(BRUSH, LINE, 0, 3, true))).toEqual([1, 2, 4]);
    expect(placeOfEdit({ kind: "keep_largest" })).toBeNull();
    const drawn = { kind: "drawn", low: [1, 2, 3], shape: [1, 4, 6], bits: "", positive: true } as const;
    expect(placeOfEdit({ kind: "draw", drawn, within: null })).toEqual([1, 4, 6]);
  });

  it("is counted", () => {
    expect(changeOf("Grew by 1 mm", 12345, 0)).toBe("Grew by 1 mm: 12,345 voxels more.");
    expect(changeOf("Smoothed by 1 mm", 2, 3)).toBe("Smoothed by 1 mm: 2 voxels more, 3 voxels less.");
    expect(changeOf("Filled holes", 0, 0)).toBe("Filled holes: nothing changed.");
  });
});
