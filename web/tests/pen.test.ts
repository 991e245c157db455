import { expect, test } from "vitest";
import { Pens } from "../src/tools/pen";

const touch = { type: "pointerdown", pointerType: "touch" };
const pen = (type: string) => ({ type, pointerType: "pen" });

test("a touch is the hand only while a pen is at the screen", () => {
  const pens = new Pens();
  expect(pens.rests(touch, 0)).toBe(false);
  pens.note(pen("pointermove"), 1000); // it hovers
  expect(pens.rests(touch, 1400)).toBe(true);
  expect(pens.rests(pen("pointerdown"), 1400)).toBe(false);
  expect(pens.rests(touch, 1600)).toBe(false);
});

test("a pen that is held still on the screen is there until it is lifted", () => {
  const pens = new Pens();
  pens.note(pen("pointerdown"), 1000);
  expect(pens.rests(touch, 9000)).toBe(true);
  pens.note(pen("pointerup"), 10_000);
  expect(pens.rests(touch, 10_400)).toBe(true);
  expect(pens.rests(touch, 10_600)).toBe(false);
});
