import { expect, it } from "vitest";
import { goalOf } from "../src/roving";

it("arrows go round, Home and End to the ends, and other keys nowhere", () => {
  expect(["ArrowDown", "ArrowRight"].map((key) => goalOf(key, 2, 3))).toEqual([0, 0]);
  expect(["ArrowUp", "ArrowLeft"].map((key) => goalOf(key, 0, 3))).toEqual([2, 2]);
  expect(["Home", "End", "x", "Enter"].map((key) => goalOf(key, 1, 3))).toEqual([0, 2, null, null]);
  expect(goalOf("ArrowDown", 0, 0)).toBeNull();
});

it("left and right are mirrored in a page that is read from the right", () => {
  expect(["ArrowLeft", "ArrowRight", "ArrowDown"].map((key) => goalOf(key, 1, 4, true))).toEqual([2, 0, 2]);
});
