import { describe, expect, it } from "vitest";
import { bitsOf, maskPrompt, unpackMask } from "../src/bits";
import type { Event } from "../src/api";
import { LabelMap } from "../src/labelmap";
import { curve, robotWords } from "../src/robot";
import { INITIAL } from "../src/state";
import { STOPS } from "../src/tour";

describe("the robot that is watched", () => {
  it("has a curve from 0 at the bottom to 1 at the top", () => {
    expect(curve([0, 0.5, 1], 90, 40)).toBe("0.0,40.0 10.0,20.0 20.0,0.0");
    expect(curve([], 90, 40)).toBe("");
  });

  it("is told in a sentence", () => {
    const robot = { title: "Mend", label: 1, prompts: [], change: null };
    expect(robotWords({ ...robot, dices: [], running: true })).toBe("Mend and a robot begin");
    expect(robotWords({ ...robot, dices: [0.8], running: true })).toBe("Mend: Dice 0.80 after 1 mark.");
    expect(robotWords({ ...robot, dices: [0.8, 0.954], running: false })).toBe(
      "Mend: Dice 0.95 after 2 marks, and the robot is done.",
    );
  });

  it("sends its mask as prompts are sent, and it is read back", async () => {
    const map = new LabelMap([2, 3, 5]);
    map.apply({
      box: { low: [0, 1, 1], high: [2, 3, 4] },
      values: new Uint16Array([1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1]),
    });
    const packed = await maskPrompt(map, 1);
    const { box, inside } = await unpackMask(packed);
    expect(box).toEqual({ low: [0, 1, 1], high: [2, 3, 4] });
    expect([...inside]).toEqual([1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1]);
    expect(bitsOf(map, 1, box)).toHaveLength(2);
  });
});

describe("the tour", () => {
  const click = (positive: boolean): Event => ({
    event: "prompted",
    prompt: { kind: "click", index: [0, 1, 1], positive },
    label: 1,
    method: "mend",
    finetune: "auto",
    overwrite: false,
    joined: false,
  });

  it("goes on when a thing was tried, and not before it is answered", () => {
    const [first, second, third, fourth, fifth] = STOPS;
    const marked = { ...INITIAL, events: [click(true)], done: [0] };
    expect(first.tried(marked, INITIAL)).toBe(true);
    expect(first.tried({ ...marked, pending: [0] }, INITIAL)).toBe(false);
    expect(second.tried({ ...INITIAL, events: [click(true), click(true)], done: [0, 1] }, marked)).toBe(false);
    expect(second.tried({ ...INITIAL, events: [click(true), click(false)], done: [0, 1] }, marked)).toBe(true);
    expect(third.tried({ ...marked, undone: [1] }, marked)).toBe(true);
    expect(fourth.tried({ ...INITIAL, crosshair: [1, 0, 0] }, INITIAL)).toBe(true);
    const label = {
      value: 2,
      name: "two",
      colour: [1, 2, 3],
      locked: false,
      opacity: 1,
      codes: null,
      layer: 0,
    } as const;
    expect(fifth.tried({ ...INITIAL, labels: [label] }, INITIAL)).toBe(true);
  });
});
