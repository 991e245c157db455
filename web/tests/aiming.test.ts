import { describe, expect, it } from "vitest";

import { ARROWS, beside } from "../src/aiming";
import type { Plane } from "../src/geometry";

describe("the crosshair by keys", () => {
  it("goes where the arrow points on the screen, whichever way the voxels are counted", () => {
    const plane = { normal: 0, right: 2, down: 1, flipRight: true, flipDown: false } as unknown as Plane;

    expect(beside(plane, [5, 6, 7], ARROWS.ArrowRight)).toEqual([5, 6, 6]);
    expect(beside(plane, [5, 6, 7], ARROWS.ArrowLeft)).toEqual([5, 6, 8]);
    expect(beside(plane, [5, 6, 7], ARROWS.ArrowDown)).toEqual([5, 7, 7]);
    expect(beside(plane, [5, 6, 7], [-2, -3])).toEqual([5, 3, 9]);
  });
});
