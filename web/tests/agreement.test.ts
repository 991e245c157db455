import { describe, expect, it } from "vitest";
import { pointsOf, summaries, ticks } from "../src/agreement";
import type { Agreement } from "../src/api";

const reading = (reader: string, seconds: number): Agreement["readings"][number] => ({
  reader,
  session: null,
  state: "finished",
  interactions: 3,
  seconds,
  finished: null,
});
const row = (name: string, dice: number, decided: number): Agreement => ({
  case: name,
  name,
  state: "decided",
  decided_by: "eve",
  readings: [reading("ada", 30), reading("ben", 50)],
  pairs: [
    { one: "ada", other: "ben", dice, labels: [] },
    { one: "ada", other: "decision", dice: decided, labels: [] },
  ],
});

describe("agreement", () => {
  it("is told of each pair over all cases", () => {
    expect(summaries([row("a", 0.5, 0.9), row("b", 1, 0.7)])).toEqual([
      { one: "ada", other: "ben", cases: 2, mean: 0.75, lowest: 0.5 },
      { one: "ada", other: "decision", cases: 2, mean: 0.8, lowest: 0.7 },
    ]);
    expect(summaries([])).toEqual([]);
  });

  it("is a point for each case, without what decided", () => {
    expect(pointsOf([row("a", 0.5, 0.1)])).toEqual([{ name: "a", dice: 0.5, seconds: 40 }]);
    expect(pointsOf([{ ...row("a", 1, 1), pairs: [] }])).toEqual([]);
  });

  it("has an axis of round times", () => {
    expect(ticks(40)).toEqual([0, 10, 20, 30, 40]);
    expect(ticks(1)).toEqual([0, 1]);
    expect(ticks(130)).toEqual([0, 30, 60, 90, 120, 150]);
  });
});
