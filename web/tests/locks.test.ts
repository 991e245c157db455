import { describe, expect, it } from "vitest";
import type { Event, Prompt } from "../src/api";
import { isLocked, lockedAfter, lockedUnder, rangesOf } from "../src/locks";
import { reachesOf, reachOf } from "../src/reach";
import { hintOf } from "../src/hints";
import { fold } from "../src/session";
import { INITIAL, type Opened } from "../src/state";

const lock = (axis: 0 | 1 | 2, slices: number[], locked = true): Event => ({
  event: "slices_locked",
  axis,
  slices,
  locked,
});
const click = (...index: [number, number, number]): Prompt => ({ kind: "click", index, positive: true });

describe("locked slices", () => {
  const locked = lockedAfter([lock(0, [3, 4, 9]), lock(1, [2]), lock(0, [4], false), lock(0, [10])]);

  it("are those that were locked and not unlocked since, by axis", () => {
    expect(isLocked(locked, 0, 3)).toBe(true);
    expect(isLocked(locked, 0, 4)).toBe(false);
    expect(isLocked(locked, 1, 3)).toBe(false);
    expect(rangesOf(locked, 0)).toEqual([
      [3, 4],
      [9, 11],
    ]);
    expect(rangesOf(locked, 2)).toEqual([]);
  });

  it("are open again when their event is undone", () => {
    const { locked: now } = fold([lock(0, [3]), lock(0, [4]), { event: "undone" }]);
    expect(rangesOf(now, 0)).toEqual([[3, 4]]);
  });

  it("refuse a mark only where all of it lies in them", () => {
    expect(lockedUnder(locked, click(3, 0, 0))).toEqual({ axis: 0, slice: 3 });
    expect(lockedUnder(locked, click(5, 2, 0))).toEqual({ axis: 1, slice: 2 });
    expect(lockedUnder(locked, click(4, 0, 0))).toBeNull();
    expect(lockedUnder(locked, { kind: "box", low: [9, 0, 0], high: [11, 2, 2] })).toEqual({ axis: 0, slice: 9 });
    expect(lockedUnder(locked, { kind: "box", low: [9, 0, 0], high: [12, 2, 2] })).toBeNull();
    expect(lockedUnder(locked, { kind: "copy_slice", axis: 0, source: 4, target: 3 })).toEqual({ axis: 0, slice: 3 });
    expect(lockedUnder(locked, { kind: "grow", mm: 2 })).toBeNull();
  });
});

describe("the reach of marks", () => {
  it("is said only where it is not the whole object, and of marks that have a place", () => {
    expect(reachOf("whole", 10, 0, click(0, 0, 0))).toBeNull();
    expect(reachOf("near", 10, 0, click(0, 0, 0))).toEqual({ mm: 10, axis: null, part: false });
    expect(reachOf("slice", 10, 2, click(0, 0, 0))).toEqual({ mm: null, axis: 2, part: false });
    expect(reachOf("part", 10, 0, { kind: "adjust", k: 0.5, of: "mask" })).toBeNull();
  });

  it("has no slice in a picture", () => {
    expect(reachesOf(true)).toEqual(["whole", "near", "part"]);
  });

  it("is told with what the tool wants next, while it holds something back", () => {
    const opened = { planes: [1, 2, 3], case: { timed: false } } as unknown as Opened;
    expect(hintOf({ ...INITIAL, opened, reach: "near", reachMm: 8 })).toMatch(/\. Only within 8 mm of the mark$/);
    expect(hintOf({ ...INITIAL, opened, reach: "near", tool: "paint" })).not.toContain("8 mm");
  });
});
