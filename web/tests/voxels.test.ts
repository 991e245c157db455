import { describe, expect, it } from "vitest";
import { statisticsOf } from "../src/contrast";
import { blocksOf, isLocal } from "../src/voxels";

describe("the order of slices", () => {
  it("is from the middle outwards, each slice once", () => {
    expect(blocksOf(20, 10, 1, 4, 3)).toEqual([[8, 12], [12, 15], [5, 8], [15, 18], [2, 5], [18, 20], [0, 2]]); // prettier-ignore
    for (const [slices, middle, bytes] of [
      [600, 300, 512 * 512 * 2],
      [7, 0, 3 << 20],
      [5, 4, 1],
      [1, 0, 99 << 20],
    ]) {
      // prettier-ignore
      const seen = blocksOf(slices, middle, bytes).flatMap(([low, high]) =>
        Array.from({ length: high - low }, (_, i) => low + i),
      );
      expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: slices }, (_, i) => i));
      expect(blocksOf(slices, middle, bytes)[0][0]).toBeLessThanOrEqual(middle);
      expect(blocksOf(slices, middle, bytes)[0][1]).toBeGreaterThan(middle);
    }
  });

  it("begins with little, so that something is seen soon", () => {
    const [[low, high]] = blocksOf(600, 300, 512 * 512 * 2);
    expect(high - low).toBe(4);
  });
});

describe("a volume of which a part is there", () => {
  it("has the values of that part", () => {
    const values = Float32Array.of(5, 7, -1000, -1000, 9, 6);
    const affine = [[0, 0, 1, 0] as const, [0, 1, 0, 0] as const, [1, 0, 0, 0] as const];
    const volume = { shape: [3, 1, 2], affine, values, rgb: false, slope: 1, intercept: 0 } as const;
    const { low, high } = statisticsOf({ ...volume, arrived: Uint8Array.of(1, 0, 1) });
    expect([low, high]).toEqual([5, 9]);
  });
});

describe("this machine", () => {
  it("has its own names", () => {
    expect(["localhost", "127.0.0.1", "[::1]"].every(isLocal)).toBe(true);
    expect(["10.0.0.1", "segmend.example", "127.0.0.1.example"].some(isLocal)).toBe(false);
  });
});
