import { describe, expect, it } from "vitest";
import type { Event, Label } from "../src/api";
import { isTouched, layersOf, nextObject, objectsOf, shadeOf, titleOf } from "../src/labels";

const nodule: Label = {
  value: 2,
  name: "nodule",
  colour: [200, 100, 40],
  locked: true,
  opacity: 0.5,
  codes: null,
  layer: 2,
  instance: null,
};
const lung: Label = { ...nodule, value: 1, name: "lung", layer: 0 };

describe("the next object of a label", () => {
  it("makes the label the first object, and has its name, layer and opacity in another shade", () => {
    const { first, next } = nextObject([lung, nodule], nodule, 3);
    expect(first).toEqual({ ...nodule, instance: 1 });
    expect(next).toEqual({ ...nodule, value: 3, locked: false, instance: 2, colour: shadeOf(nodule.colour, 2) });
    expect(next.colour).not.toEqual(nodule.colour);
    expect([first, next, lung].map(titleOf)).toEqual(["nodule 1", "nodule 2", "lung"]);
    expect(titleOf({ name: "Object 1", instance: 2 })).toBe("Object 1.2");
  });

  it("counts on behind the highest number, whichever object is chosen", () => {
    const { first, next } = nextObject([lung, nodule], nodule, 3);
    const fifth = { ...next, value: 7, instance: 5 };
    expect(nextObject([first, next, fifth], next, 8).next).toMatchObject({ value: 8, instance: 6 });
    expect(nextObject([first, next, fifth], next, 8).first).toBe(next);
  });
});

it("objects are the labels of one name that are numbered", () => {
  const { first, next } = nextObject([nodule], nodule, 3);
  expect(objectsOf([lung, first, next, { ...nodule, value: 9 }], next)).toEqual([first, next]);
  expect(objectsOf([lung, first, next], lung)).toEqual([lung]);
});

it("shades of a colour stay colours, and the first one's is its own", () => {
  expect(shadeOf([200, 100, 40], 1)).toEqual([200, 100, 40]);
  for (let number = 1; number < 20; number++)
    for (const part of shadeOf([255, 0, 128], number)) expect(part >= 0 && part <= 255).toBe(true);
});

it("layers are drawn in the order of the list", () => {
  expect(layersOf([nodule, lung, { ...nodule, value: 3 }])).toEqual([2, 0]);
});

describe("a label that stays in its layer", () => {
  const prompted = (label: number): Event => ({
    event: "prompted",
    prompt: { kind: "click", index: [0, 0, 0], positive: true },
    label,
    method: "mend",
    finetune: "auto",
    overwrite: false,
    joined: false,
  });
  const union: Event = {
    event: "edited",
    edit: { kind: "combine", operation: "union", other: 2, margin_mm: 0 },
    label: 1,
    overwrite: false,
    joined: false,
  };
  const deleted: Event = { event: "deleted", label: 2, joined: false };

  it("has been marked, or has given voxels away", () => {
    expect(isTouched([prompted(1)], [0], 2)).toBe(false);
    expect(isTouched([prompted(2)], [0], 2)).toBe(true);
    expect(isTouched([prompted(2)], [], 2)).toBe(false);
    expect(isTouched([union], [0], 2)).toBe(true);
  });

  it("is free again once it was deleted", () => {
    expect(isTouched([prompted(2), deleted], [0, 1], 2)).toBe(false);
    expect(isTouched([prompted(2), deleted, prompted(2)], [0, 1, 2], 2)).toBe(true);
  });
});
