import { describe, expect, it } from "vitest";
import { arrange, followView, gridOf, isSeveral, planeOfView } from "../src/arrange";
import { type Affine, type Index, PHOTO, planesOf } from "../src/geometry";

const PLANES = ["axial", "coronal", "sagittal"] as const;
const ids = (...asked: Parameters<typeof arrange>): string[] => arrange(...asked).map(({ id }) => id);

describe("the panes of a layout", () => {
  it("are all planes and 3D, one large and two small, rows or columns, or one alone", () => {
    expect(ids("grid", PLANES, [0], "axial")).toEqual(["axial", "coronal", "sagittal", "render"]);
    expect(ids("main", PLANES, [0], "coronal")).toEqual(["coronal", "axial", "sagittal"]);
    expect(ids("rows", PLANES, [0], "axial")).toEqual(PLANES);
    expect(ids("sagittal", PLANES, [0], "axial")).toEqual(["sagittal"]);
    expect(ids("render", PLANES, [0], "axial")).toEqual(["render"]);
  });

  it("are one plane of each image where series lie side by side", () => {
    expect(arrange("series", PLANES, [0, 1], "coronal")).toEqual([
      { id: "coronal:0", plane: "coronal", image: 0 },
      { id: "coronal:1", plane: "coronal", image: 1 },
    ]);
    expect(ids("series", PLANES, [null, 9], "axial")).toEqual(["axial", "axial:9"]); // the time that is chosen, and one beside it
    expect(ids("series", PLANES, [0], "axial")).toEqual(["axial"]);
    expect(ids("series", ["axial"], [0, 1, 2], "axial")).toEqual(["axial:0", "axial:1", "axial:2"]);
  });

  it("of a picture are the one plane that it has", () => {
    expect(ids("grid", ["axial"], [0], "axial")).toEqual(["axial"]);
    expect(ids("coronal", ["axial"], [0], "coronal")).toEqual(["axial"]);
  });

  it("are laid in rows and columns", () => {
    expect(gridOf("grid", 4)).toEqual({ rows: 2, columns: 2 });
    expect(gridOf("rows", 3)).toEqual({ rows: 3, columns: 1 });
    expect(gridOf("series", 3)).toEqual({ rows: 1, columns: 3 });
    expect(gridOf("series", 5)).toEqual({ rows: 2, columns: 3 });
    expect(gridOf("axial", 1)).toEqual({ rows: 1, columns: 1 });
    expect(["grid", "series", "render"].map((name) => isSeveral(name as "grid"))).toEqual([true, true, false]);
  });

  it("name the plane that they show", () => {
    expect(planeOfView("axial:1", [PHOTO])).toBe(PHOTO);
    expect(planeOfView("coronal", [PHOTO])).toBeUndefined();
  });
});

describe("linked views", () => {
  const affine: Affine = [
    [0, 0, -1, 0],
    [0, -1, 0, 0],
    [3, 0, 0, 0],
  ]; // x runs to the left, y to the back, z up
  const shape: Index = [10, 20, 30];
  const { axial, coronal, sagittal } = planesOf(affine);
  const before = { centre: [15, 10], zoom: 1 } as const;
  const after = { centre: [7, 4], zoom: 2 } as const;

  it("show the same place of the axes that they share, magnified as much", () => {
    const own = { centre: [15, 5], zoom: 1.5 } as const;
    expect(followView(own, coronal, axial, before, after, shape)).toEqual({ centre: [7, 5], zoom: 3 });
    expect(followView({ centre: [10, 5], zoom: 1 }, sagittal, axial, before, after, shape)).toEqual({
      centre: [4, 5],
      zoom: 2,
    });
    expect(followView(before, axial, axial, before, after, shape)).toEqual(after);
  });

  it("turn with an axis that one of them shows the other way round", () => {
    const turned = { ...coronal, flipRight: !coronal.flipRight };
    expect(followView({ centre: [15, 5], zoom: 1 }, turned, axial, before, after, shape).centre).toEqual([23, 5]);
  });

  it("stay within what can be magnified", () => {
    const far = { centre: [15, 10], zoom: 50 } as const;
    expect(followView(far, axial, axial, before, after, shape).zoom).toBe(60);
  });
});
