import { describe, expect, it } from "vitest";
import { type Affine, type Index, indexAt, PHOTO, planesOf } from "../src/geometry";
import type { Volume } from "../src/nifti";
import { angle, distance, isSized, placeAt, region, words } from "../src/rulers";
import { permutations, signs } from "./orientations";

const SHAPE: Index = [3, 8, 10];
const AFFINE: Affine = [
  [0, 0, 0.5, 0],
  [0, 2, 0, 0],
  [4, 0, 0, 0],
]; // mm a voxel: 4 along z, 2 along y, 0.5 along x

function volume(shape: Index, affine: Affine, value: (index: Index) => number): Volume {
  const values = new Float32Array(shape[0] * shape[1] * shape[2]);
  for (let i = 0; i < values.length; i++) {
    values[i] = value([Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]]);
  }
  return { shape, affine, values, rgb: false, slope: 1, intercept: 0 };
}

describe("lengths and angles", () => {
  it("are in millimetres of the patient, or in pixels where those have no size", () => {
    expect(distance(AFFINE, [1, 1, 2], [1, 4, 10], true)).toBeCloseTo(Math.hypot(6, 4));
    expect(distance(AFFINE, [1, 1, 2], [1, 4, 10], false)).toBeCloseTo(Math.hypot(3, 8));
    expect(distance(AFFINE, [0, 1, 2], [2, 1, 2], true)).toBeCloseTo(8);
  });

  it("are those of the patient on a sheared grid", () => {
    const sheared: Affine = [
      [0, 0.6, 1, 0],
      [0, 0.8, 0, 0],
      [3, 0, 0, 0],
    ];
    expect(distance(sheared, [0, 0, 0], [0, 1, 1], true)).toBeCloseTo(Math.hypot(1.6, 0.8));
    expect(angle(sheared, [0, 0, 5], [0, 0, 0], [0, 5, 0], true)).toBeCloseTo((Math.acos(0.6) * 180) / Math.PI);
  });

  it("of an angle are taken between its legs", () => {
    expect(angle(AFFINE, [0, 0, 8], [0, 0, 0], [0, 2, 0], true)).toBeCloseTo(90);
    expect(angle(AFFINE, [0, 0, 8], [0, 0, 0], [0, 2, 8], true)).toBeCloseTo(45); // 4 mm by 4 mm
    expect(angle(AFFINE, [0, 0, 8], [0, 0, 4], [0, 0, 0], true)).toBeCloseTo(180);
    expect(angle(AFFINE, [0, 0, 8], [0, 0, 0], [0, 0, 0], true)).toBe(0);
  });
});

describe("a region", () => {
  it("has the values of the voxels in its ellipse, and its area", () => {
    const ramp = volume([1, 41, 41], AFFINE, ([, y, x]) => 10 * x + y);
    const found = region(ramp, 0, [[0, 10, 5], [0, 30, 35]], true)!; // prettier-ignore
    expect(found.area).toBeCloseTo(Math.PI * 10 * 2 * 15 * 0.5);
    expect(found.voxels / (Math.PI * 10 * 15)).toBeCloseTo(1, 1);
    expect(found.mean).toBeCloseTo(10 * 20 + 20);
    expect(found.deviation).toBeCloseTo(Math.hypot(10 * 7.5, 5), -1); // of an ellipse, half its radius each way
    expect([found.low, found.high]).toEqual([10 * 5 + 20, 10 * 35 + 20]);
  });

  it("may be as large as a slice of CT", () => {
    const values = Float32Array.from({ length: 512 * 512 }, (_, i) => i >> 9);
    const slice: Volume = { shape: [1, 512, 512], affine: AFFINE, values, rgb: false, slope: 1, intercept: 0 };
    const found = region(slice, 0, [[0, 0, 0], [0, 511, 511]], true)!; // prettier-ignore
    expect(found.voxels).toBeGreaterThan(200_000);
    expect([found.low, found.high]).toEqual([1, 510]);
  });

  it("counts a plane's own axes, and nothing beside the image or in a flat ellipse", () => {
    const flat = volume(SHAPE, AFFINE, ([z]) => z);
    const sagittal = region(flat, 2, [[-0.5, -0.5, 4], [2.5, 7.5, 4]], true)!; // prettier-ignore
    expect(sagittal.area).toBeCloseTo(Math.PI * 1.5 * 4 * 4 * 2);
    expect(sagittal.mean).toBe(1);
    expect(region(flat, 0, [[1, 2, 2], [1, 2, 2]], true)).toBeNull(); // prettier-ignore
  });
});

describe("what is written", () => {
  const image = volume(SHAPE, AFFINE, () => 40);
  it("has a unit", () => {
    const line = { kind: "ruler", axis: 0, points: [[1, 1, 2], [1, 4, 2]] } as const; // prettier-ignore
    expect(words(line, image, { sized: true, ct: true })).toEqual(["6.0 mm"]);
    expect(words(line, image, { sized: false, ct: false })).toEqual(["3.0 px"]);
    const round = { kind: "ellipse", axis: 0, points: [[1, 0, 0], [1, 6, 8]] } as const; // prettier-ignore
    expect(words(round, image, { sized: true, ct: true })).toEqual(["40 ± 0 HU", "40 to 40 HU", "37.7 mm²"]);
    expect(words(round, image, { sized: false, ct: false })[2]).toBe("37.7 px²");
    const leg = { kind: "angle", axis: 0, points: [[1, 0, 8], [1, 0, 0]] } as const; // prettier-ignore
    expect(words(leg, image, { sized: true, ct: false })).toEqual([]);
    expect(words({ ...leg, points: [...leg.points, [1, 2, 0]] }, image, { sized: true, ct: false })).toEqual(["90.0°"]);
  });

  it("is of pixels where a picture does not say how large they are", () => {
    const unit: Affine = [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]; // prettier-ignore
    expect(isSized(volume([1, 4, 5], unit, () => 0))).toBe(false);
    expect(isSized(volume([2, 4, 5], unit, () => 0))).toBe(true);
    expect(isSized(image)).toBe(true);
  });
});

describe("a place in a picture", () => {
  it("is that of the voxel under it, for all orientations, and lies inside", () => {
    for (const order of permutations) {
      for (const flip of signs) {
        const affine = [0, 1, 2].map((row) => {
          const at = (axis: number): number => (order[axis] === row ? flip[axis] : 0);
          return [at(0), at(1), at(2), 0] as const;
        });
        for (const plane of Object.values(planesOf(affine))) {
          const place = placeAt(plane, SHAPE, 1, [2.5, 1.5]);
          expect(place).toEqual(indexAt(plane, SHAPE, 1, [2.5, 1.5]));
        }
      }
    }
    expect(placeAt(PHOTO, SHAPE, 0, [-3, 99])).toEqual([0, 7.5, -0.5]);
    expect(placeAt(PHOTO, SHAPE, 0, [2.25, 3])).toEqual([0, 2.5, 1.75]);
  });
});
