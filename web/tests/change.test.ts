import { describe, expect, it } from "vitest";
import { changeOf, GAINED, GAINED_COLOUR, LOST, LOST_COLOUR, paintChange, SAME, wordsOf } from "../src/change";
import { PHOTO, rectOf, type Index } from "../src/geometry";
import { LabelMap } from "../src/labelmap";

const SHAPE: Index = [1, 3, 5];
const BOX = { low: [0, 1, 1], high: [1, 3, 4] } as const;

function drawn(): LabelMap {
  const map = new LabelMap(SHAPE);
  map.values.set([0, 1, 1, 2, 0], 5); // the second row
  return map;
}

describe("what a mask would become", () => {
  const patch = { position: 4, box: BOX, values: new Uint16Array([1, 0, 1, 0, 1, 2]) };

  it("is gained and lost voxels of one label", () => {
    const change = changeOf(drawn(), patch, 1);
    expect([...change.codes]).toEqual([SAME, LOST, GAINED, SAME, GAINED, SAME]);
    expect([change.gained, change.lost]).toEqual([2, 1]);
    expect([...changeOf(drawn(), patch, 2).codes]).toEqual([SAME, SAME, LOST, SAME, SAME, GAINED]);
  });

  it("is told in a sentence", () => {
    const change = changeOf(drawn(), patch, 1);
    expect(wordsOf(change, "Liver")).toBe("Liver would gain 2 and lose 1 voxel.");
    expect(wordsOf({ ...change, gained: 0 }, "Liver")).toBe("Liver would lose 1 voxel.");
    expect(wordsOf({ ...change, gained: 0, lost: 0 }, "Liver")).toBe("Liver would stay as it is.");
  });

  it("is painted where it lies, in two colours", () => {
    const change = changeOf(drawn(), patch, 1);
    for (const plane of [PHOTO, { ...PHOTO, flipRight: true }]) {
      const rect = rectOf(plane, SHAPE, 0, BOX)!;
      const out = new Uint8ClampedArray(4 * rect.width * rect.height);
      paintChange(change, SHAPE, plane, 0, rect, out);
      const pixel = (i: number): number[] => [...out.slice(4 * i, 4 * i + 3)];
      const row = [0, 1, 2].map(pixel);
      expect(plane.flipRight ? row.reverse() : row).toEqual([[0, 0, 0], [...LOST_COLOUR], [...GAINED_COLOUR]]);
    }
  });
});
