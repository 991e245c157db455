import { describe, expect, it } from "vitest";
import {
  type Affine,
  boxBetween,
  extentOf,
  indexAt,
  type Index,
  inside,
  isInView,
  lineTo,
  nearestIndexAt,
  orientation,
  panView,
  PHOTO,
  pixelOf,
  planesOf,
  project,
  rectOf,
  shownPlanes,
  spacingOf,
  toMm,
  toPixel,
  toScreen,
  wholeView,
  zoomView,
} from "../src/geometry";
import { sidesOf } from "../src/words";
import { permutations, random, signs } from "./orientations";

const SHAPE: Index = [4, 5, 7];

/** Every flip and order of the axes, with unequal spacing, then the same turned by a quarter of a radian. */
function affines(): Affine[] {
  const straight = permutations.flatMap((order) =>
    signs.map((flip) => [0, 1, 2].map((row) => line(row, order, flip)) as Affine),
  );
  const turned = straight.map((affine) => turn(affine, 0.25));
  return [...straight, ...turned];
}

function line(row: number, order: readonly number[], flip: readonly number[]): [number, number, number, number] {
  const spacing = [3, 1.5, 0.7];
  const value = (axis: number): number => (order[axis] === row ? flip[axis] * spacing[axis] : 0);
  return [value(0), value(1), value(2), 10 * row];
}

function turn(affine: Affine, angle: number): Affine {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const mix = (f: (a: number, b: number) => number): [number, number, number, number] => [
    f(affine[0][0], affine[1][0]),
    f(affine[0][1], affine[1][1]),
    f(affine[0][2], affine[1][2]),
    0,
  ];
  return [mix((a, b) => c * a - s * b), mix((a, b) => s * a + c * b), affine[2]];
}

describe("a position", () => {
  it("is said by the patient's sides", () => {
    expect(sidesOf([-12.34, 5, -0.04])).toBe("L 12.3  A 5.0  I 0.0 mm");
  });
});

describe("planes", () => {
  it("use each of the file's axes once, for all 48 orientations and the same oblique", () => {
    for (const affine of affines()) {
      for (const plane of Object.values(planesOf(affine))) {
        expect([plane.normal, plane.right, plane.down].sort()).toEqual([0, 1, 2]);
      }
    }
  });

  it("show the patient's left on the right of the screen and the back or the feet below", () => {
    for (const affine of affines()) {
      const { axial, coronal, sagittal } = planesOf(affine);
      const move = (plane: typeof axial, du: number, dv: number): readonly number[] => {
        const a = toMm(affine, indexAt(plane, SHAPE, 1, [1, 1])!);
        const b = toMm(affine, indexAt(plane, SHAPE, 1, [1 + du, 1 + dv])!);
        return b.map((value, world) => value - a[world]);
      };
      expect(move(axial, 1, 0)[0]).toBeLessThan(0);
      expect(move(axial, 0, 1)[1]).toBeLessThan(0);
      expect(move(coronal, 1, 0)[0]).toBeLessThan(0);
      expect(move(coronal, 0, 1)[2]).toBeLessThan(0);
      expect(move(sagittal, 1, 0)[1]).toBeLessThan(0);
      expect(move(sagittal, 0, 1)[2]).toBeLessThan(0);
    }
  });

  it("find the nearest axes of an oblique grid", () => {
    const affine: Affine = turn(
      [
        [0, 0, 1, 0],
        [0, 2, 0, 0],
        [3, 0, 0, 0],
      ],
      0.6,
    );
    expect(orientation(affine).map(({ axis }) => axis)).toEqual([2, 1, 0]);
    expect(spacingOf(affine).map((mm) => Math.round(mm * 1e6) / 1e6)).toEqual([3, 2, 1]);
  });

  it("of a photograph are one, in the file's own order", () => {
    const [plane] = shownPlanes(
      [1, 5, 7],
      [
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
      ],
      true,
    );
    expect(plane).toBe(PHOTO);
    expect(indexAt(PHOTO, [1, 5, 7], 0, [6.2, 1.9])).toEqual([0, 1, 6]);
  });

  it("of a single slice are the one that shows it", () => {
    const upright: Affine = [
      [0, 0, 1, 0],
      [1, 0, 0, 0],
      [0, 1, 0, 0],
    ];
    expect(shownPlanes([1, 5, 7], upright, false).map((plane) => plane.name)).toEqual(["coronal"]);
  });
});

describe("voxels and pixels", () => {
  it("go there and back for every voxel, plane, orientation, pan and zoom", () => {
    const generator = random(7);
    for (const affine of affines()) {
      for (const plane of Object.values(planesOf(affine))) {
        const size = [200 + 300 * generator(), 150 + 300 * generator()] as const;
        const view = { centre: [3 * generator(), 5 * generator()] as const, zoom: 0.5 + 8 * generator() };
        const p = project(plane, SHAPE, spacingOf(affine), view, size);
        for (let z = 0; z < SHAPE[0]; z++) {
          for (let y = 0; y < SHAPE[1]; y++) {
            for (let x = 0; x < SHAPE[2]; x++) {
              const index: Index = [z, y, x];
              const [u, v] = pixelOf(plane, SHAPE, index);
              const [du, dv] = [0.02 + 0.96 * generator(), 0.02 + 0.96 * generator()];
              const screen = toScreen(p, [u + du, v + dv]);
              expect(indexAt(plane, SHAPE, index[plane.normal], toPixel(p, screen))).toEqual(index);
            }
          }
        }
      }
    }
  });

  it("have nothing outside the picture", () => {
    const plane = planesOf(affines()[0]).axial;
    const [width, height] = extentOf(plane, SHAPE);
    expect(indexAt(plane, SHAPE, 0, [-0.01, 0])).toBeNull();
    expect(indexAt(plane, SHAPE, 0, [0, height])).toBeNull();
    expect(nearestIndexAt(plane, SHAPE, 0, [1e9, -1e9])).toEqual(indexAt(plane, SHAPE, 0, [width - 1, 0]));
  });

  it("show square millimetres, whatever the spacing", () => {
    const p = project(PHOTO, [1, 10, 10], [1, 3, 1], { centre: [5, 5], zoom: 1 }, [300, 300]);
    expect(p.scaleY / p.scaleX).toBeCloseTo(3);
    expect(10 * p.scaleY).toBeCloseTo(0.96 * 300);
  });
});

describe("views", () => {
  const size = [400, 300] as const;
  const spacing: Index = [1, 1, 1];
  const shape: Index = [1, 30, 40];

  it("keep the pixel under the pointer when they zoom", () => {
    const view = wholeView(PHOTO, shape);
    const p = project(PHOTO, shape, spacing, view, size);
    const at = [123, 45] as const;
    const next = project(PHOTO, shape, spacing, zoomView(view, p, at, size, 2.5), size);
    expect(toPixel(next, at)[0]).toBeCloseTo(toPixel(p, at)[0]);
    expect(toPixel(next, at)[1]).toBeCloseTo(toPixel(p, at)[1]);
  });

  it("move with the pointer when they pan", () => {
    const view = wholeView(PHOTO, shape);
    const p = project(PHOTO, shape, spacing, view, size);
    const next = project(PHOTO, shape, spacing, panView(view, p, 20, -10), size);
    expect(toScreen(next, [3, 4])).toEqual([toScreen(p, [3, 4])[0] + 20, toScreen(p, [3, 4])[1] - 10]);
  });
});

describe("lines and boxes", () => {
  it("join without a gap and end where they should", () => {
    const line = lineTo([0, 0, 0], [0, 3, 7]);
    expect(line).toHaveLength(7);
    expect(line.at(-1)).toEqual([0, 3, 7]);
    let last: Index = [0, 0, 0];
    for (const index of line) {
      expect(Math.max(...index.map((value, axis) => Math.abs(value - last[axis])))).toBe(1);
      last = index;
    }
    expect(lineTo([1, 1, 1], [1, 1, 1])).toEqual([]);
  });

  it("hold both corners of a box, whichever way it was drawn", () => {
    expect(boxBetween([2, 9, 4], [2, 5, 8])).toEqual({ low: [2, 5, 4], high: [3, 10, 9] });
  });

  it("cut a box to its rectangle in a slice", () => {
    const plane = { ...PHOTO, flipRight: true };
    const box = { low: [1, 1, 0], high: [3, 4, 2] } as const;
    expect(rectOf(plane, SHAPE, 1, box)).toEqual({ u: 5, v: 1, width: 2, height: 3 });
    expect(rectOf(plane, SHAPE, 3, box)).toBeNull();
  });

  it("know what is inside", () => {
    expect(inside(SHAPE, [3, 4, 6])).toBe(true);
    expect(inside(SHAPE, [4, 0, 0])).toBe(false);
    expect(inside(SHAPE, [0, -1, 0])).toBe(false);
  });
});

describe("keeping a voxel in view", () => {
  it("finds all of a plane in view that is shown whole, and of a magnified one what lies round its middle", () => {
    const shape: Index = [1, 40, 60];
    const near = { centre: [30, 20], zoom: 4 } as const;
    expect(isInView(undefined, PHOTO, shape, [0, 0, 0])).toBe(true);
    expect(isInView(near, PHOTO, shape, [0, 20, 34])).toBe(true);
    expect(isInView(near, PHOTO, shape, [0, 20, 38])).toBe(false);
    expect(isInView(near, PHOTO, shape, [0, 30, 30])).toBe(false);
  });
});
