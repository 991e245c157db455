import { describe, expect, it } from "vitest";
import { hintOf } from "../src/hints";
import { INITIAL, type Opened } from "../src/state";

const opened = { planes: [1, 2, 3] } as unknown as Opened;

describe("the hint", () => {
  it("counts the ends of the object", () => {
    expect(hintOf({ ...INITIAL, opened, tool: "extremes" })).toBe(
      "Click left, right, top, bottom of the object in one slice, or six ends over several planes",
    );
    const points = [
      [1, 2, 3],
      [1, 2, 5],
      [1, 0, 4],
    ] as const;
    expect(hintOf({ ...INITIAL, opened, tool: "extremes", points })).toBe("Click left, right, top, bottom: 3 of 4");
    const across = [...points, [0, 2, 2]] as const;
    expect(hintOf({ ...INITIAL, opened, tool: "extremes", points: across })).toBe(
      "Click all six ends of the object: 4 of 6",
    );
  });

  it("tells how a mark is drawn by keys, and how a box gets depth", () => {
    expect(hintOf({ ...INITIAL, opened, tool: "stroke", drawing: true })).toBe(
      "Arrows draw; Enter puts it down, Esc calls it off",
    );
    expect(hintOf({ ...INITIAL, opened, tool: "box", drawing: true })).toContain("Page Up and Page Down give depth");
  });

  it("says nothing without a case", () => {
    expect(hintOf({ ...INITIAL, opened: null })).toBe("");
  });
});
