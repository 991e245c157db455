import { describe, expect, it } from "vitest";

import type { Affine, Index } from "../src/geometry";
import { flatAxis } from "../src/ohif/drawing";
import { overlapping } from "../src/ohif/shown";
import { axisAcross, indexAt, toVoxel, toWorld } from "../src/ohif/place";

/** Slanted, sheared, with unequal steps: a tilted gantry. */
const AFFINE: Affine = [
  [0.3, -0.36, -0.8, 12],
  [-2.1, 0.48, -0.6, -40],
  [3.2, 1.1, 0.05, 7],
  [0, 0, 0, 1],
];
const SHAPE: Index = [5, 7, 9];

describe("a place of the patient", () => {
  it("is counted to the left and the back, where grids count to the right and the front", () => {
    expect(toWorld(AFFINE, [0, 0, 0])).toEqual([-12, 40, 7]);
  });

  it("leads back to its voxel", () => {
    for (const index of [
      [0, 0, 0],
      [4, 0, 8],
      [2, 6, 3],
    ] as const) {
      toVoxel(AFFINE, toWorld(AFFINE, index)).forEach((value, axis) => {
        expect(value).toBeCloseTo(index[axis], 9);
      });
    }
  });

  it("belongs to the nearest voxel, and says when that is not under it", () => {
    expect(indexAt(AFFINE, SHAPE, toWorld(AFFINE, [2.4, 5.6, 0.4]))).toEqual({ index: [2, 6, 0], inside: true });
    expect(indexAt(AFFINE, SHAPE, toWorld(AFFINE, [-3, 9, 8.2]))).toEqual({ index: [0, 6, 8], inside: false });
  });
});

describe("a view of the patient", () => {
  it("lies across the axis of the grid that leads most straight through it", () => {
    const along = (axis: number): [number, number, number] => {
      const [right, front, up] = [AFFINE[0][axis], AFFINE[1][axis], AFFINE[2][axis]];
      const length = Math.hypot(right, front, up);
      return [-right / length, -front / length, up / length];
    };
    for (const axis of [0, 1, 2]) {
      expect(axisAcross(AFFINE, along(axis))).toBe(axis);
      expect(axisAcross(AFFINE, along(axis).map((part) => -part) as [number, number, number])).toBe(axis);
    }
    expect(axisAcross(AFFINE, [1, 0, 0])).toBe(2); // sagittal: its rows lead most to the right, however short their steps
  });
});

describe("a lasso", () => {
  it("lies in the slice that all of its voxels share", () => {
    expect(
      flatAxis([
        [3, 1, 1],
        [3, 2, 5],
        [3, 4, 1],
      ]),
    ).toBe(0);
    expect(
      flatAxis([
        [3, 1, 1],
        [4, 2, 1],
        [5, 4, 1],
      ]),
    ).toBe(2);
    expect(
      flatAxis([
        [3, 1, 1],
        [4, 2, 2],
        [5, 4, 1],
      ]),
    ).toBeNull();
  });
});

describe("labels that overlap", () => {
  const label = (value: number, layer: number) => ({
    ...{ value, layer, name: "", colour: [0, 0, 0] as [number, number, number] },
    ...{ locked: false, opacity: 1, codes: null, instance: null },
  });

  it("are painted from the first one on that overlaps others, as in files with one label a voxel", () => {
    expect(overlapping([label(1, 0), label(2, 0)])).toEqual([]);
    const found = overlapping([label(1, 0), label(2, 2), label(3, 0)]).map(({ value }) => value);
    expect(found).toEqual([2, 3]);
  });
});
