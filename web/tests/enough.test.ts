import { describe, expect, it } from "vitest";
import { gradeOf, isEnough, LEVEL, withAnswer } from "../src/enough";

describe("good enough", () => {
  it("is said when two marks in a row have raised a high Dice no more", () => {
    expect(isEnough([0.8, 0.93, 0.935, 0.93])).toBe(true);
    expect(isEnough([0.8, 0.93, 0.935])).toBe(false);
    expect(isEnough([0.8, 0.91, 0.93, 0.95])).toBe(false);
  });

  it("is never said below the level, nor where nothing is known", () => {
    const low = LEVEL - 0.01;
    expect(isEnough([low, low, low, low])).toBe(false);
    expect(isEnough([0.95, 0.94, low])).toBe(false);
    expect(isEnough([])).toBe(false);
  });

  it("begins anew after an answer of which no Dice is known", () => {
    let known = {};
    for (const quality of [0.95, 0.95, 0.95]) known = withAnswer(known, 1, quality);
    expect(known).toEqual({ 1: [0.95, 0.95, 0.95] });
    expect(withAnswer(known, 1, null)).toEqual({ 1: [] });
    expect(withAnswer(known, 2, 0.5)).toEqual({ 1: [0.95, 0.95, 0.95], 2: [0.5] });
  });
});

it("says in a word how good a mask is", () => {
  expect([0.95, LEVEL, 0.89, 0.75, 0.74].map((dice) => gradeOf(dice, null))).toEqual([
    "good",
    "good",
    "fair",
    "fair",
    "poor",
  ]);
  expect(gradeOf(0.91, [0.8, 0.97])).toBe("good");
  expect(gradeOf(0.91, [0.5, 0.97])).toBe("fair");
  expect(gradeOf(0.6, [0.2, 0.86])).toBe("fair"); // it may be good
  expect(gradeOf(0.4, [0.1, 0.7])).toBe("poor");
});
