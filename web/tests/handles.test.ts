import { describe, expect, it } from "vitest";
import type { Prompt } from "../src/api";
import { type Index, type Plane, planesOf, project, wholeView } from "../src/geometry";
import { dragged, handleAt, handlesOf, type Shown, turnedOver } from "../src/handles";

const SHAPE: Index = [6, 8, 10];
const SPACING: Index = [3, 1, 1];
const { axial, coronal, sagittal } = planesOf([
  [0, 0, 1, 0],
  [0, 1, 0, 0],
  [3, 0, 0, 0],
]);
const BOX: Prompt = { kind: "box", low: [2, 2, 3], high: [4, 5, 7] };

function shown(plane: Plane, slice: number): Shown {
  const projection = project(plane, SHAPE, SPACING, wholeView(plane, SHAPE), [400, 300]);
  return { plane, shape: SHAPE, slice, projection };
}

describe("handles of a box", () => {
  it("are nine in each slice that it reaches, in every plane, and none beside it", () => {
    for (const [plane, inside, outside] of [
      [axial, 3, 4],
      [coronal, 4, 5],
      [sagittal, 3, 7],
    ] as const) {
      expect(handlesOf(BOX, shown(plane, inside))).toHaveLength(9);
      expect(handlesOf(BOX, shown(plane, outside))).toHaveLength(0);
    }
  });

  it("move their own side alone, also where the screen runs against the file", () => {
    // This grid runs to the patient's right, which is the left of the screen.
    const place = shown(axial, 2);
    const left = handlesOf(BOX, place).find(
      ({ part }) => part.kind === "sides" && part.right === -1 && part.down === 0,
    );
    const grabbed = handleAt(BOX, place, left!.at);
    const moved = dragged(BOX, grabbed!.part, axial, SHAPE, [2, 3, 6], [2, 0, 8]);
    expect(axial.flipRight).toBe(true);
    expect(moved).toEqual({ kind: "box", low: [2, 2, 3], high: [4, 5, 9] });
  });

  it("never turn a box inside out, nor let it leave the image", () => {
    const right = { kind: "sides", right: 1, down: 0 } as const;
    expect(dragged(BOX, right, axial, SHAPE, [2, 3, 3], [2, 3, 9])).toMatchObject({ low: [2, 2, 6], high: [4, 5, 7] });
    expect(dragged(BOX, right, axial, SHAPE, [2, 3, 9], [2, 3, 0])).toMatchObject({ low: [2, 2, 0] });
    const whole = dragged(BOX, { kind: "whole" }, axial, SHAPE, [0, 0, 0], [5, -7, 1]);
    expect(whole).toEqual({ kind: "box", low: [4, 0, 4], high: [6, 3, 8] });
  });

  it("of a box one voxel thick can be told apart, and give it depth", () => {
    const thin: Prompt = { kind: "box", low: [2, 2, 3], high: [3, 5, 7] };
    const place = shown(coronal, 3);
    const top = handlesOf(thin, place).find(
      ({ part }) => part.kind === "sides" && part.right === 0 && part.down === -1,
    );
    expect(handleAt(thin, place, top!.at)!.part).toEqual(top!.part);
    expect(dragged(thin, top!.part, coronal, SHAPE, [2, 3, 4], [4, 3, 4])).toMatchObject({
      low: [2, 2, 3],
      high: [5, 5, 7],
    });
  });
});

describe("handles of other marks", () => {
  it("move a click in its slice, and are out of reach further away", () => {
    const click: Prompt = { kind: "click", index: [2, 3, 4], positive: true };
    const place = shown(axial, 2);
    const [{ at }] = handlesOf(click, place);
    expect(handleAt(click, place, [at[0] + 5, at[1] - 5])).not.toBeNull();
    expect(handleAt(click, place, [at[0] + 20, at[1]])).toBeNull();
    expect(dragged(click, { kind: "whole" }, axial, SHAPE, [2, 3, 4], [2, 5, 1])).toMatchObject({ index: [2, 5, 1] });
  });

  it("move one extreme point alone, and a stroke as a whole as far as the image goes", () => {
    const points: Index[] = [
      [1, 1, 1],
      [1, 1, 5],
      [1, 4, 3],
    ];
    const ends: Prompt = { kind: "extremes", points };
    expect(dragged(ends, { kind: "point", at: 1 }, axial, SHAPE, [1, 1, 5], [1, 2, 6])).toEqual({
      kind: "extremes",
      points: [points[0], [1, 2, 6], points[2]],
    });
    const stroke: Prompt = { kind: "stroke", points, positive: true, radius: 1 };
    expect(dragged(stroke, { kind: "whole" }, axial, SHAPE, [0, 0, 0], [0, -3, 2])).toMatchObject({
      points: [
        [1, 0, 3],
        [1, 0, 7],
        [1, 3, 5],
      ],
    });
  });

  it("turn over what has a sign", () => {
    expect(turnedOver({ kind: "click", index: [0, 0, 0], positive: true })).toMatchObject({ positive: false });
    expect(turnedOver(BOX)).toBeNull();
  });
});
