/**
 * One slice of the volume or the label map as a picture: pure functions on typed arrays.
 *
 * Slices are drawn by the processor: 512 x 512 takes about a millisecond, needs no graphics card, has no
 * texture limits (a photograph may have 6000 pixels a side) and shows voxels and window exactly.
 */

import type { Contrast } from "./contrast";
import { extentOf, type Index, type Plane, type Rect } from "./geometry";
import type { UncertaintyMap, LabelMap } from "./labelmap";
import { isThere, type Volume } from "./nifti";

export type Colour = readonly [number, number, number];

/** Where a picture's pixels lie in a row-major array: start, step to the right, step down. */
function walk(plane: Plane, shape: Index, slice: number): { start: number; right: number; down: number } {
  const strides: Index = [shape[1] * shape[2], shape[2], 1];
  const [width, height] = extentOf(plane, shape);
  const right = strides[plane.right] * (plane.flipRight ? -1 : 1);
  const down = strides[plane.down] * (plane.flipDown ? -1 : 1);
  const start =
    slice * strides[plane.normal] -
    (plane.flipRight ? right * (width - 1) : 0) -
    (plane.flipDown ? down * (height - 1) : 0);
  return { start, right, down };
}

/** What a thick slice shows of the voxels that lie behind each other: the highest, the mean or the lowest. */
export type Slab = "max" | "mean" | "min";

/** How a slice of the volume is painted. */
export interface Painting {
  readonly colours?: readonly Colour[] | undefined; // 256 of them; grey without
  readonly thickness?: number; // in slices, the one that is shown in the middle; 1 without
  readonly slab?: Slab;
  readonly fades?: boolean; // clear at the window's low end, for laying over another picture
}

/** Paint a slice of the volume into RGBA bytes of the picture's size; what has not arrived is as dark as can be. */
export function paintVolume(
  volume: Volume,
  plane: Plane,
  slice: number,
  contrast: Contrast,
  out: Uint8ClampedArray,
  { colours, thickness = 1, slab = "max", fades = false }: Painting = {},
): void {
  const [width, height] = extentOf(plane, volume.shape);
  const { start, right, down } = walk(plane, volume.shape, slice);
  const gain = 255 / (contrast.high - contrast.low || 1);
  const scale = volume.rgb ? gain : gain * volume.slope;
  const shift = volume.rgb ? -contrast.low * gain : (volume.intercept - contrast.low) * gain;
  const thick = thickness > 1 && !volume.rgb ? project(volume, plane, slice, thickness, slab) : null;
  const values = thick ?? volume.values;
  let to = 0;
  for (let v = 0; v < height; v++) {
    let from = thick === null ? start + v * down : v * width;
    const step = thick === null ? right : 1;
    for (let u = 0; u < width; u++, from += step, to += 4) {
      if (volume.rgb) {
        out[to] = values[3 * from] * scale + shift;
        out[to + 1] = values[3 * from + 1] * scale + shift;
        out[to + 2] = values[3 * from + 2] * scale + shift;
        out[to + 3] = 255;
        continue;
      }
      const grey = values[from] * scale + shift;
      if (colours === undefined) {
        out[to] = grey;
        out[to + 1] = grey;
        out[to + 2] = grey;
      } else {
        const colour = colours[grey > 255 ? 255 : grey > 0 ? Math.round(grey) : 0];
        out[to] = colour[0];
        out[to + 1] = colour[1];
        out[to + 2] = colour[2];
      }
      out[to + 3] = fades ? 4 * grey : 255;
    }
  }
  if (volume.arrived?.includes(0) === true) {
    const there = behind(volume, plane, slice, thick === null ? 1 : thickness);
    darken(volume, plane, there.length > 0, colours?.[0] ?? [0, 0, 0], fades ? 0 : 255, out);
  }
}

/** Return the slices that lie behind each other round one, as far as they are there. */
function behind(volume: Volume, plane: Plane, slice: number, thickness: number): readonly number[] {
  const low = Math.max(0, slice - ((thickness - 1) >> 1));
  const high = Math.min(volume.shape[plane.normal], slice + (thickness >> 1) + 1);
  const all = Array.from({ length: high - low }, (_, i) => low + i);
  return plane.normal === 0 ? all.filter((k) => isThere(volume, k)) : all;
}

/** Paint over what lies in slices of the file that have not arrived; `shown` says whether those of the picture have. */
function darken(
  volume: Volume,
  plane: Plane,
  shown: boolean,
  [red, green, blue]: Colour,
  alpha: number,
  out: Uint8ClampedArray,
): void {
  const [width, height] = extentOf(plane, volume.shape);
  let to = 0;
  for (let v = 0; v < height; v++) {
    for (let u = 0; u < width; u++, to += 4) {
      const z = plane.down === 0 ? (plane.flipDown ? height - 1 - v : v) : plane.flipRight ? width - 1 - u : u;
      if (plane.normal === 0 ? shown : isThere(volume, z)) continue;
      out[to] = red;
      out[to + 1] = green;
      out[to + 2] = blue;
      out[to + 3] = alpha;
    }
  }
}

/** Return the slices round one, laid over each other, row by row as the picture shows them. */
function project(volume: Volume, plane: Plane, slice: number, thickness: number, slab: Slab): Float32Array {
  const [width, height] = extentOf(plane, volume.shape);
  const layers = behind(volume, plane, slice, thickness);
  const out = new Float32Array(width * height);
  const falling = volume.slope < 0; // the highest number in the file is then the lowest value
  const most = slab !== "mean" && (slab === "max") !== falling;
  const { values } = volume;
  for (const [n, k] of layers.entries()) {
    const { start, right, down } = walk(plane, volume.shape, k);
    let to = 0;
    for (let v = 0; v < height; v++) {
      let from = start + v * down;
      for (let u = 0; u < width; u++, from += right, to++) {
        const value = values[from];
        if (slab === "mean") out[to] += value / layers.length;
        else if (n === 0 || (most ? value > out[to] : value < out[to])) out[to] = value;
      }
    }
  }
  return out;
}

/** Paint a rectangle of a slice of the label map into RGBA bytes of the rectangle's size; unknown labels are grey. */
export function paintLabels(
  map: LabelMap,
  plane: Plane,
  slice: number,
  rect: Rect,
  colours: ReadonlyMap<number, Colour>,
  out: Uint8ClampedArray,
  opacities: ReadonlyMap<number, number> = new Map(), // 0 of those that are hidden; 1 without
): void {
  const { start, right, down } = walk(plane, map.shape, slice);
  let to = 0;
  let known = 0;
  let alpha = 255;
  let colour: Colour = [0, 0, 0];
  for (let v = rect.v; v < rect.v + rect.height; v++) {
    let from = start + v * down + rect.u * right;
    for (let u = 0; u < rect.width; u++, from += right, to += 4) {
      const label = map.values[from];
      if (label === 0) {
        out[to + 3] = 0;
        continue;
      }
      if (label !== known) {
        known = label;
        colour = colours.get(label) ?? [160, 160, 160];
        alpha = Math.round(255 * (opacities.get(label) ?? 1));
      }
      out[to] = colour[0];
      out[to + 1] = colour[1];
      out[to + 2] = colour[2];
      out[to + 3] = alpha;
    }
  }
}

/** Paint a slice's uncertainty into RGBA bytes of the rectangle's size: clear where the method is sure, magenta where it is not. */
export function paintUncertainty(
  map: UncertaintyMap,
  plane: Plane,
  slice: number,
  rect: Rect,
  out: Uint8ClampedArray,
): void {
  const { start, right, down } = walk(plane, map.shape, slice);
  let to = 0;
  for (let v = rect.v; v < rect.v + rect.height; v++) {
    let from = start + v * down + rect.u * right;
    for (let u = 0; u < rect.width; u++, from += right, to += 4) {
      const uncertainty = map.values[from];
      out[to] = 255;
      out[to + 1] = 200 - 0.7 * uncertainty;
      out[to + 2] = uncertainty;
      out[to + 3] = (uncertainty * uncertainty) / 340;
    }
  }
}

/** For each label, the edges of its region in a slice: (u0, v0, u1, v1) of straight pieces, one after the other. */
export function outlines(map: LabelMap, plane: Plane, slice: number, rect: Rect): Map<number, number[]> {
  const [width, height] = extentOf(plane, map.shape);
  const { start, right, down } = walk(plane, map.shape, slice);
  const { values } = map;
  const edges = new Map<number, number[]>();
  const piece = (label: number, u0: number, v0: number, u1: number, v1: number): void => {
    let list = edges.get(label);
    if (list === undefined) edges.set(label, (list = []));
    list.push(u0, v0, u1, v1);
  };
  // Both directions of `across`: for each line of pixels, runs in which a pixel differs from its neighbour.
  const trace = (
    lines: readonly [number, number],
    along: readonly [number, number],
    line: number,
    step: number,
    ends: number,
    emit: (label: number, line: number, from: number, to: number) => void,
  ): void => {
    for (let i = lines[0]; i < lines[1]; i++) {
      for (const side of [-1, 1]) {
        let label = 0;
        let from = 0;
        let at = start + i * line + along[0] * step;
        const open = i + side < 0 || i + side >= ends;
        for (let j = along[0]; j <= along[1]; j++, at += step) {
          const here = j < along[1] ? values[at] : 0;
          const edge = here !== 0 && (open || values[at + side * line] !== here) ? here : 0;
          if (edge === label) continue;
          if (label !== 0) emit(label, side < 0 ? i : i + 1, from, j);
          label = edge;
          from = j;
        }
      }
    }
  };
  const us = [rect.u, rect.u + rect.width] as const;
  const vs = [rect.v, rect.v + rect.height] as const;
  trace(vs, us, down, right, height, (label, v, u0, u1) => {
    piece(label, u0, v, u1, v);
  });
  trace(us, vs, right, down, width, (label, u, v0, v1) => {
    piece(label, u, v0, u, v1);
  });
  return edges;
}
