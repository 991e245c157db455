import { describe, expect, it } from "vitest";
import type { Ruler } from "../src/rulers";
import { RulerSteps } from "../src/rulersteps";

const ruler = (x: number): Ruler => ({
  kind: "ruler",
  axis: 0,
  points: [
    [0, 0, 0],
    [0, 0, x],
  ],
});
const [A, B] = [ruler(1), ruler(2)];

describe("steps of measuring by hand among those of a session", () => {
  it("are taken back before what was marked before them, and after what was marked since", () => {
    const steps = new RulerSteps();
    expect(steps.isLast(-1)).toBe(false);
    steps.add([], [A], 3); // the log has events 0 to 2
    expect(steps.isLast(2)).toBe(true);
    expect(steps.isLast(3)).toBe(false); // a mark at place 3 came later
    expect(steps.undo()).toEqual([]);
    expect(steps.isLast(2)).toBe(false);
  });

  it("come back in the order in which they were made, between the marks", () => {
    const steps = new RulerSteps();
    steps.add([], [A], 1);
    steps.add([A], [A, B], 2); // a mark at place 1 was put down between the two
    expect(steps.undo()).toEqual([A]);
    expect(steps.isNext(undefined)).toBe(true);
    expect(steps.isLast(1)).toBe(false); // the mark goes next
    expect(steps.undo()).toEqual([]);
    expect(steps.isNext(1)).toBe(true); // the first ruler comes before the mark at place 1
    expect(steps.redo()).toEqual([A]);
    expect(steps.isNext(1)).toBe(false);
    expect(steps.isNext(undefined)).toBe(true);
    expect(steps.redo()).toEqual([A, B]);
    expect(steps.redo()).toBeNull();
  });

  it("cannot be brought back once something else was done", () => {
    const steps = new RulerSteps();
    steps.add([], [A], 1);
    steps.undo();
    steps.goOn();
    expect(steps.isNext(undefined)).toBe(false);
  });

  it("that came after an undo leave what was undone as it is", () => {
    const steps = new RulerSteps();
    expect(steps.isNewer(2)).toBe(false);
    steps.add([], [A], 3);
    expect(steps.isNewer(2)).toBe(true);
    steps.undo();
    expect(steps.isNewer(2)).toBe(false);
  });

  it("of removing one bring it back", () => {
    const steps = new RulerSteps();
    steps.add([A, B], [B], 4);
    expect(steps.undo()).toEqual([A, B]);
  });
});
