import { describe, expect, it } from "vitest";

import { Wheel, zoomOf } from "../src/wheel";

const turns = (wheel: Wheel, deltas: readonly number[], deltaMode = 0, apart = 16): number[] =>
  deltas.map((deltaY, i) => wheel.slices({ deltaY, deltaMode, timeStamp: i * apart }));

describe("a wheel", () => {
  it.each([53, 100, 120, 125])("moves one slice a notch of %i pixels, either way", (notch) => {
    expect(turns(new Wheel(), [notch, notch, -notch, -notch])).toEqual([1, 1, -1, -1]);
  });

  it("moves one slice a notch that comes as lines or pages", () => {
    expect(turns(new Wheel(), [3, -3], 1)).toEqual([1, -1]);
    expect(turns(new Wheel(), [1], 2)).toEqual([1]);
  });

  it("moves several slices when it is turned fast", () => {
    expect(turns(new Wheel(), [240, -360])).toEqual([2, -3]);
  });
});

describe("a touchpad", () => {
  it("adds up small steps to slices", () => {
    const moved = turns(new Wheel(), Array<number>(40).fill(4));
    expect(moved.reduce((sum, slices) => sum + slices)).toBe(4);
    expect(Math.max(...moved)).toBe(1);
  });

  it("forgets the rest when it turns round, and after a pause", () => {
    expect(turns(new Wheel(), [36, -8, -36])).toEqual([0, 0, -1]);
    expect(turns(new Wheel(), [36, 36], 0, 1000)).toEqual([0, 0]);
  });
});

it("a pinch on a touchpad zooms as far as a notch with Ctrl, in smaller steps", () => {
  expect(zoomOf({ deltaY: -100, deltaMode: 0 })).toBeCloseTo(Math.exp(0.25));
  expect(zoomOf({ deltaY: -5, deltaMode: 0 }) ** 5).toBeCloseTo(Math.exp(0.25));
});
