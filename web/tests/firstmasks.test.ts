import { describe, expect, it } from "vitest";
import type { Event, Label, Method, Project } from "../src/api";
import { aboutFirst, firstMethod, makesFirst } from "../src/firstmasks";
import { INITIAL, type Opened, type State } from "../src/state";

const project = { name: "abdomen", template: [], first: { method: "task", dice: 0.912 } } as unknown as Project;
const method = {
  id: "task",
  title: "Mend on abdomen",
  dimensions: [3],
  guesses: true,
  labels: [],
} as unknown as Method;
const label = (value: number, name: string): Label => ({ value, name, colour: [1, 2, 3] }) as unknown as Label;
const asked = (value: number): Event =>
  ({
    event: "prompted",
    label: value,
    method: "task",
    prompt: { kind: "mask", shape: [1, 1, 1], low: [0, 0, 0], bits: "" },
  }) as unknown as Event;

function state(shape: readonly number[], events: readonly Event[], done: readonly number[]): State {
  const opened = { case: { timed: false }, onSlide: null, volume: { shape } } as unknown as Opened;
  const labels = [label(1, "liver"), label(2, "spleen"), label(3, "cyst")];
  return { ...INITIAL, project, methods: [method], opened, labels, events, done };
}

describe("first masks", () => {
  it("are made by the method that the project trusts, of images that it takes", () => {
    expect(firstMethod(state([9, 8, 8], [], []))).toBe(method);
    expect(firstMethod(state([1, 8, 8], [], []))).toBeNull();
    expect(firstMethod({ ...state([9, 8, 8], [], []), project: null })).toBeNull();
    expect(makesFirst({ guesses: false, labels: [] })).toBe(false);
  });

  it("are named with their method and its measured Dice as long as they are in effect", () => {
    const events = [asked(1), asked(2)];
    expect(aboutFirst(state([9, 8, 8], events, [0, 1]))).toBe(
      "First masks of liver, spleen by Mend on abdomen, whose Dice was measured as 0.91: check them.",
    );
    expect(aboutFirst(state([9, 8, 8], events, []))).toBeNull();
  });
});
