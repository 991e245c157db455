import { describe, expect, it } from "vitest";
import type { Affine, Index } from "../src/geometry";
import { LabelMap } from "../src/labelmap";
import { readHeader } from "../src/nifti";
import { niftiOf, reduceMask, reduceVolume, reductionOf } from "../src/reduced";
import { permutations, signs } from "./orientations";

const SHAPE: Index = [3, 4, 5];
const RAS: Affine = [
  [0, 0, 1, 0],
  [0, 2, 0, 0],
  [3, 0, 0, 0],
];

describe("the reduced copy for 3D", () => {
  it("has every voxel at its place from right, front and top, for all 48 orientations", () => {
    const values = Uint8Array.from({ length: 60 }, (_, i) => i);
    for (const order of permutations) {
      for (const flip of signs) {
        const affine = [0, 1, 2].map((row) => {
          const at = (axis: number): number => (order[axis] === row ? flip[axis] : 0);
          return [at(0), at(1), at(2), 0] as const;
        });
        const volume = { shape: SHAPE, affine, values, rgb: false, slope: 1, intercept: 0 };
        const reduction = reductionOf(SHAPE, affine, 160);
        const out = reduceVolume(volume, reduction, { low: 0, high: 255 });
        const map = new LabelMap(SHAPE);
        map.values.set(values);
        const mask = new Uint8Array(60);
        reduceMask(map, reduction, { low: [0, 0, 0], high: SHAPE }, (label) => label, mask);
        expect(mask).toEqual(out);
        // one step to the right in the copy is one step to the patient's right in the file
        const [nx] = reduction.size;
        const strides = [20, 5, 1];
        const step = strides[reduction.axes[0]] * (reduction.flipped[0] ? -1 : 1);
        expect(out[1] - out[0]).toBe(step);
        expect(nx).toBe(SHAPE[reduction.axes[0]]);
      }
    }
  });

  it("is smaller along long axes only, and any voxel marks its block", () => {
    const shape: Index = [2, 3, 9];
    const reduction = reductionOf(shape, RAS, 4);
    expect(reduction.size).toEqual([3, 3, 2]);
    expect(reduction.spacing).toEqual([3, 2, 3]);
    const map = new LabelMap(shape);
    const box = { low: [1, 2, 7], high: [2, 3, 8] } as const;
    map.apply({ box, values: Uint16Array.of(300) });
    const out = new Uint8Array(18);
    reduceMask(map, reduction, box, () => 5, out);
    expect(out[2 + 3 * 2 + 9 * 1]).toBe(5);
    expect(out.reduce((sum, value) => sum + value, 0)).toBe(5);
  });

  it("is a NIfTI file that lies round the middle", () => {
    const reduction = reductionOf(SHAPE, RAS, 160);
    const file = niftiOf(reduction, new Uint8Array(60).fill(9));
    const volume = readHeader(file);
    expect(volume.shape).toEqual(SHAPE);
    expect(volume.affine).toEqual([
      [0, 0, 1, -2.5],
      [0, 2, 0, -4],
      [3, 0, 0, -4.5],
    ]);
    expect(file.byteLength).toBe(volume.offset + 60);
    expect(new Uint8Array(file).at(-1)).toBe(9);
  });
});
