import { describe, expect, it } from "vitest";
import type { Case } from "../src/api";
import { hintOf } from "../src/hints";
import { INITIAL, type Opened, type Tool } from "../src/state";
import { iconOfTool } from "../src/views/marks";

const opened = { planes: [1, 2, 3], case: { timed: false } } as unknown as Opened;
const ALL: Readonly<Record<Tool, true>> = {
  navigate: true,
  click: true,
  stroke: true,
  box: true,
  lasso: true,
  extremes: true,
  paint: true,
  erase: true,
  cut: true,
  island: true,
  threshold: true,
  window: true,
  ruler: true,
  angle: true,
  ellipse: true,
};
const TOOLS = Object.keys(ALL) as Tool[];

describe("the hint", () => {
  it("asks for nothing in a case that takes no marks", () => {
    const work = { status: "accepted", project: "" } as unknown as Case;
    expect(hintOf({ ...INITIAL, opened, work, tool: "click" })).toBe(
      "This case is accepted; press Reopen to change it.",
    );
    expect(hintOf({ ...INITIAL, opened, work, tool: "paint" })).toContain("accepted");
    expect(hintOf({ ...INITIAL, opened, work, tool: "ruler" })).toBe("Drag from one end to the other");
    expect(hintOf({ ...INITIAL, opened, work: { ...work, status: "begun" }, tool: "click" })).toContain("Click on");
  });

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

  it("tells what measures want, and of an angle its second leg", () => {
    const leg = { kind: "angle", axis: 0, points: [[1, 2, 3], [1, 2, 9]] } as const; // prettier-ignore
    expect(hintOf({ ...INITIAL, opened, tool: "ruler" })).toBe("Drag from one end to the other");
    expect(hintOf({ ...INITIAL, opened, tool: "angle" })).toContain("Drag the first leg to the vertex");
    expect(hintOf({ ...INITIAL, opened, tool: "angle", leg })).toBe("Press at the end of the second leg");
  });

  it("is there for every tool", () => {
    for (const tool of TOOLS) expect(hintOf({ ...INITIAL, opened, tool }), tool).not.toBe("");
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

describe("the pointer", () => {
  it("carries the sign of clicks and the icon of each other tool that does something, each another one", () => {
    const icons = TOOLS.map((tool) => iconOfTool(tool, true));
    expect(icons.filter((name) => name === null)).toHaveLength(1); // to move and look is what the pointer does anyway
    expect(new Set(icons).size).toBe(TOOLS.length);
    expect(iconOfTool("click", false)).toBe("minus");
  });
});
