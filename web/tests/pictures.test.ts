import { describe, expect, it } from "vitest";
import { COLOUR_MAPS, coloursOf } from "../src/colours";
import { CT_PRESETS, dragContrast, statisticsOf } from "../src/contrast";
import { extentOf, type Index, indexAt, PHOTO, pixelOf, type Plane, planesOf } from "../src/geometry";
import { LabelMap } from "../src/labelmap";
import type { Volume } from "../src/nifti";
import { outlines, type Painting, paintLabels, paintVolume, type Slab } from "../src/slices";
import { permutations, signs } from "./orientations";

const SHAPE: Index = [3, 4, 5];
const whole = (width: number, height: number) => ({ u: 0, v: 0, width, height });

function volume(values: number[], shape: Index = SHAPE): Volume {
  const affine = [[0, 0, 1, 0] as const, [0, 1, 0, 0] as const, [1, 0, 0, 0] as const];
  return { shape, affine, values: Float32Array.from(values), rgb: false, slope: 1, intercept: 0 };
}

describe("slices of the volume", () => {
  it("show each voxel at its pixel, for all 48 orientations", () => {
    const image = volume(Array.from({ length: 60 }, (_, i) => 4 * i));
    for (const order of permutations) {
      for (const flip of signs) {
        const affine = [0, 1, 2].map((row) => {
          const at = (axis: number): number => (order[axis] === row ? flip[axis] : 0);
          return [at(0), at(1), at(2), 0] as const;
        });
        for (const plane of Object.values(planesOf(affine))) {
          const [width, height] = extentOf(plane, SHAPE);
          const out = new Uint8ClampedArray(4 * width * height);
          const slice = SHAPE[plane.normal] - 1;
          paintVolume(image, plane, slice, { low: 0, high: 255 }, out);
          for (let v = 0; v < height; v++) {
            for (let u = 0; u < width; u++) {
              const [z, y, x] = indexAt(plane, SHAPE, slice, [u, v])!;
              expect(out[4 * (v * width + u)]).toBe(4 * ((z * 4 + y) * 5 + x));
            }
          }
        }
      }
    }
  });

  it("are dark where slices of the file have not come, in every plane and slab", () => {
    const { axial, coronal, sagittal } = planesOf(volume([]).affine);
    const image = {
      ...volume(Array.from({ length: 60 }, (_, i) => (i < 40 && i >= 20 ? 200 : 0))),
      arrived: Uint8Array.of(0, 1, 0),
    };
    const greys = (plane: Plane, slice: number, painting: Painting = {}): number[] => {
      const [width, height] = extentOf(plane, SHAPE);
      const out = new Uint8ClampedArray(4 * width * height);
      paintVolume(image, plane, slice, { low: -1000, high: 200 }, out, painting);
      return Array.from({ length: width * height }, (_, i) => out[4 * i]);
    };
    expect(new Set(greys(axial, 1))).toEqual(new Set([255]));
    expect(new Set(greys(axial, 0))).toEqual(new Set([0]));
    for (const plane of [coronal, sagittal]) {
      const [width] = extentOf(plane, SHAPE);
      const dark = Array(width).fill(0) as number[];
      expect(greys(plane, 2)).toEqual([...dark, ...(Array(width).fill(255) as number[]), ...dark]);
    }
    for (const slab of ["max", "mean", "min"] as const) {
      expect(new Set(greys(axial, 1, { thickness: 3, slab }))).toEqual(new Set([255]));
    }
    const clear = new Uint8ClampedArray(80);
    paintVolume(image, axial, 2, { low: -1000, high: 200 }, clear, { fades: true, colours: coloursOf("Inverted") });
    expect([clear[0], clear[3]]).toEqual([255, 0]);
  });

  it("use the window, the slope and the intercept", () => {
    const image = { ...volume([0, 10, 20, 30], [1, 2, 2]), slope: 2, intercept: -10 };
    const out = new Uint8ClampedArray(16);
    paintVolume(image, PHOTO, 0, { low: -10, high: 41 }, out);
    expect([0, 4, 8, 12].map((at) => out[at])).toEqual([0, 100, 200, 255]);
    expect(out[3]).toBe(255);
  });

  it("have the colours of a map, from the window's low end to its high one", () => {
    const image = volume([-5, 0, 51, 102, 255, 900], [1, 2, 3]);
    const out = new Uint8ClampedArray(24);
    paintVolume(image, PHOTO, 0, { low: 0, high: 255 }, out, { colours: coloursOf("Inverted") });
    expect([0, 1, 2, 3, 4, 5].map((i) => out[4 * i])).toEqual([255, 255, 204, 153, 0, 0]);
    for (const name of COLOUR_MAPS) {
      expect(coloursOf(name)).toHaveLength(256);
      expect(
        coloursOf(name)
          .flat()
          .every((one) => Number.isInteger(one) && one >= 0 && one <= 255),
      ).toBe(true);
    }
    expect(coloursOf("Hot")[0]).toEqual([0, 0, 0]);
    expect(coloursOf("Hot")[255]).toEqual([255, 255, 255]);
  });

  it("show the highest, the mean or the lowest of a slab's slices, as far as there are any", () => {
    const image = volume([1, 2, 10, 3, 4, 20, 5, 90, 30], [3, 1, 3]);
    const shown = (slice: number, thickness: number, slab: Slab, slope = 1): number[] => {
      const out = new Uint8ClampedArray(12);
      const window = slope > 0 ? { low: 0, high: 255 } : { low: -255, high: 0 };
      paintVolume({ ...image, slope }, PHOTO, slice, window, out, { thickness, slab });
      return [out[0], out[4], out[8]];
    };
    expect(shown(1, 3, "max")).toEqual([5, 90, 30]);
    expect(shown(1, 3, "mean")).toEqual([3, 32, 20]);
    expect(shown(1, 3, "min")).toEqual([1, 2, 10]);
    expect(shown(0, 2, "max")).toEqual([3, 4, 20]);
    expect(shown(2, 99, "max")).toEqual([5, 90, 30]);
    expect(shown(1, 3, "max", -1)).toEqual([254, 253, 245]);
  });

  it("lay in the orientation of their plane when they are thick", () => {
    const image = volume(Array.from({ length: 60 }, (_, i) => i));
    const { coronal } = planesOf(image.affine);
    const [thin, thick] = [new Uint8ClampedArray(4 * 15), new Uint8ClampedArray(4 * 15)];
    paintVolume(image, coronal, 3, { low: 0, high: 255 }, thin);
    paintVolume(image, coronal, 2, { low: 0, high: 255 }, thick, { thickness: 4 });
    expect(thick).toEqual(thin); // the values grow along y, so the last slice has the highest
  });

  it("are clear at the window's low end where they are laid over another picture", () => {
    const out = new Uint8ClampedArray(8);
    paintVolume(volume([0, 200], [1, 1, 2]), PHOTO, 0, { low: 0, high: 255 }, out, { fades: true });
    expect([out[3], out[7]]).toEqual([0, 255]);
  });

  it("keep the colours of a photograph", () => {
    const image = { ...volume([]), shape: [1, 1, 2] as const, values: Uint8Array.of(1, 2, 3, 200, 100, 50), rgb: true };
    const out = new Uint8ClampedArray(8);
    paintVolume(image, PHOTO, 0, { low: 0, high: 255 }, out);
    expect(Array.from(out)).toEqual([1, 2, 3, 255, 200, 100, 50, 255]);
  });
});

describe("the mask", () => {
  const patch = (low: Index, high: Index, values: number[]) => ({
    position: 0,
    box: { low, high },
    values: Uint16Array.from(values),
  });

  it("takes a patch in its box and nowhere else", () => {
    const map = new LabelMap(SHAPE);
    map.apply(patch([1, 2, 1], [2, 4, 4], [1, 0, 2, 3, 4, 5]));
    expect(map.at([1, 2, 1])).toBe(1);
    expect(map.at([1, 2, 3])).toBe(2);
    expect(map.at([1, 3, 3])).toBe(5);
    expect(map.values.reduce((sum, value) => sum + value, 0)).toBe(15);
    map.apply(patch([1, 2, 1], [2, 3, 2], [0]));
    expect(map.at([1, 2, 1])).toBe(0);
    expect(map.painted).toEqual({ low: [1, 2, 1], high: [2, 4, 4] });
  });

  it("is painted in the labels' colours, grey where a label is unknown, clear where there is none", () => {
    const map = new LabelMap([1, 2, 2]);
    map.apply(patch([0, 0, 0], [1, 2, 2], [0, 1, 300, 1]));
    const out = new Uint8ClampedArray(16);
    paintLabels(map, PHOTO, 0, whole(2, 2), new Map([[1, [10, 20, 30]]]), out);
    expect(Array.from(out.subarray(3, 8))).toEqual([0, 10, 20, 30, 255]);
    expect(Array.from(out.subarray(8, 12))).toEqual([160, 160, 160, 255]);
  });

  it("is as opaque as each label is, and clear where one is hidden", () => {
    const map = new LabelMap([1, 1, 3]);
    map.apply(patch([0, 0, 0], [1, 1, 3], [1, 2, 3]));
    const out = new Uint8ClampedArray(12);
    paintLabels(map, PHOTO, 0, whole(3, 1), new Map(), out, new Map([[1, 0], [2, 0.5]])); // prettier-ignore
    expect([3, 7, 11].map((at) => out[at])).toEqual([0, 128, 255]);
  });

  it("paints a rectangle where it lies in a flipped plane", () => {
    const map = new LabelMap([1, 3, 4]);
    map.apply(patch([0, 1, 0], [1, 2, 1], [7]));
    const plane = { ...PHOTO, flipRight: true, flipDown: true };
    const [u, v] = pixelOf(plane, map.shape, [0, 1, 0]);
    const out = new Uint8ClampedArray(4);
    paintLabels(map, plane, 0, { u, v, width: 1, height: 1 }, new Map([[7, [1, 2, 3]]]), out);
    expect(Array.from(out)).toEqual([1, 2, 3, 255]);
  });

  it("is outlined along the edges of its voxels, long edges in one piece", () => {
    const map = new LabelMap([1, 4, 5]);
    map.apply(patch([0, 1, 1], [1, 3, 4], [1, 1, 1, 1, 1, 1]));
    const edges = outlines(map, PHOTO, 0, whole(5, 4));
    expect([...edges.keys()]).toEqual([1]);
    const pieces = edges.get(1)!;
    expect(pieces).toHaveLength(16);
    const sides = [0, 4, 8, 12].map((at) => pieces.slice(at, at + 4).join(" "));
    expect(sides.sort()).toEqual(["1 1 1 3", "1 1 4 1", "1 3 4 3", "4 1 4 3"]);
  });

  it("is outlined between two labels and at the border of the image", () => {
    const map = new LabelMap([1, 1, 2]);
    map.apply(patch([0, 0, 0], [1, 1, 2], [1, 2]));
    const edges = outlines(map, PHOTO, 0, whole(2, 1));
    expect(edges.get(1)).toHaveLength(16);
    expect(edges.get(2)).toHaveLength(16);
  });
});

describe("contrast", () => {
  it("ignores the background and the last hundredth", () => {
    const image = volume([...(Array(1000).fill(0) as number[]), ...Array.from({ length: 1000 }, (_, i) => i + 1), 1e6]);
    const { auto, ct } = statisticsOf(image);
    expect(auto.low).toBeGreaterThan(0);
    expect(auto.high).toBeLessThan(1100);
    expect(ct).toBe(false);
  });

  it("knows CT by its modality or its values", () => {
    expect(statisticsOf(volume([-1000, 40, 1200])).ct).toBe(true);
    expect(statisticsOf(volume([0, 40, 1200]), "CT").ct).toBe(true);
    expect(statisticsOf(volume([-1000, 40, 1200]), "MR").ct).toBe(false);
    expect(CT_PRESETS[0].contrast).toEqual({ low: -160, high: 240 });
  });

  it("has a width even for a constant image", () => {
    const { auto } = statisticsOf(volume([5, 5, 5]));
    expect(auto.high).toBeGreaterThan(auto.low);
  });

  it("widens to the right, brightens upwards and never turns over", () => {
    const statistics = statisticsOf(volume([0, 1000]));
    const from = { low: 100, high: 500 };
    const wide = dragContrast(from, statistics, 100, 0);
    expect(wide.high - wide.low).toBeGreaterThan(400);
    expect(dragContrast(from, statistics, 0, -100).high).toBeLessThan(500);
    const narrow = dragContrast(from, statistics, -1e6, 0);
    expect(narrow.high).toBeGreaterThan(narrow.low);
  });
});
