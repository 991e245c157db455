/**
 * Lines, angles and regions that a person measures with: pure functions.
 *
 * Their points lie in one slice, between voxels where they were put, and are indices as everywhere: (z, y, x) with
 * voxels' middles at whole numbers. Lengths are millimetres by the affine, for oblique and sheared grids, too; pixels
 * where the image does not say how large they are.
 */

import { type Affine, type Axis, clamp, extentOf, type Index, type Plane, type Point, spacingOf } from "./geometry";
import { type Volume, valueAt } from "./nifti";
import { fill, phrases } from "./phrases";
import { fixed, short } from "./words";

export const RULERS = ["ruler", "angle", "ellipse"] as const;
export type RulerKind = (typeof RULERS)[number];

/** Two points of a line, three of an angle with its vertex second, or two corners round an ellipse. */
export interface Ruler {
  readonly kind: RulerKind;
  readonly axis: Axis; // across its slice
  readonly points: readonly Index[];
}

/** Where lengths are millimetres, and values Hounsfield units. */
export interface Scale {
  readonly sized: boolean;
  readonly ct: boolean;
}

/** Return the place under a pixel of a slice, with broken numbers, as an index inside the picture. */
export function placeAt(plane: Plane, shape: Index, slice: number, [u, v]: Point): Index {
  const [width, height] = extentOf(plane, shape);
  const place: [number, number, number] = [0, 0, 0];
  const along = (at: number, length: number, flipped: boolean): number => {
    const inside = clamp(at, 0, length);
    return (flipped ? length - inside : inside) - 0.5;
  };
  place[plane.normal] = slice;
  place[plane.right] = along(u, width, plane.flipRight);
  place[plane.down] = along(v, height, plane.flipDown);
  return place;
}

type Vector = readonly [number, number, number];

function between(affine: Affine, a: Index, b: Index, sized: boolean): Vector {
  const step: Vector = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
  if (!sized) return step;
  const row = (r: number): number => affine[r][0] * step[0] + affine[r][1] * step[1] + affine[r][2] * step[2];
  return [row(0), row(1), row(2)];
}

/** Return how far two places are apart, in mm, or in pixels where those have no size. */
export function distance(affine: Affine, a: Index, b: Index, sized: boolean): number {
  return Math.hypot(...between(affine, a, b, sized));
}

/** Return the angle at `vertex`, in degrees from 0 to 180. */
export function angle(affine: Affine, a: Index, vertex: Index, b: Index, sized: boolean): number {
  const [p, q] = [between(affine, vertex, a, sized), between(affine, vertex, b, sized)];
  const cosine = (p[0] * q[0] + p[1] * q[1] + p[2] * q[2]) / (Math.hypot(...p) * Math.hypot(...q));
  return Number.isNaN(cosine) ? 0 : (Math.acos(clamp(cosine, -1, 1)) * 180) / Math.PI;
}

export interface Region {
  readonly voxels: number;
  readonly area: number; // of the ellipse, in mm² or pixels
  readonly mean: number;
  readonly deviation: number;
  readonly low: number;
  readonly high: number;
}

/** Return what is measured in the ellipse between two corners: its area, and the voxels whose middles it holds; null without any. */
export function region(volume: Volume, axis: Axis, corners: readonly Index[], sized: boolean): Region | null {
  const [a, b] = corners;
  const [one, other] = ([0, 1, 2] as const).filter((each) => each !== axis) as [Axis, Axis];
  const middle = (each: Axis): number => (a[each] + b[each]) / 2;
  const radius = (each: Axis): number => Math.abs(a[each] - b[each]) / 2;
  const range = (each: Axis): [number, number] => [
    Math.max(0, Math.ceil(middle(each) - radius(each))),
    Math.min(volume.shape[each] - 1, Math.floor(middle(each) + radius(each))),
  ];
  if (radius(one) === 0 || radius(other) === 0) return null;
  const values: number[] = [];
  const index: [number, number, number] = [a[0], a[1], a[2]];
  for (let i = range(one)[0]; i <= range(one)[1]; i++) {
    for (let j = range(other)[0]; j <= range(other)[1]; j++) {
      if (((i - middle(one)) / radius(one)) ** 2 + ((j - middle(other)) / radius(other)) ** 2 > 1) continue;
      index[one] = i;
      index[other] = j;
      const value = valueAt(volume, index);
      values.push(value.length === 1 ? value[0] : 0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2]);
    }
  }
  if (values.length === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return {
    voxels: values.length,
    area: Math.PI * radius(one) * radius(other) * (sized ? pixelArea(volume.affine, one, other) : 1),
    mean,
    deviation: Math.sqrt(square),
    low: values.reduce((a, b) => Math.min(a, b)), // as arguments of one call they may be too many
    high: values.reduce((a, b) => Math.max(a, b)),
  };
}

function pixelArea(affine: Affine, one: Axis, other: Axis): number {
  const p = [0, 1, 2].map((row) => affine[row][one]);
  const q = [0, 1, 2].map((row) => affine[row][other]);
  return Math.hypot(p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]);
}

/** Return the lines that are written beside a measurement. */
export function words({ kind, axis, points }: Ruler, volume: Volume, { sized, ct }: Scale): readonly string[] {
  const unit = sized ? "mm" : "px";
  if (kind === "ruler") return [`${fixed(distance(volume.affine, points[0], points[1], sized), 1)} ${unit}`];
  if (kind === "angle") {
    return points.length < 3 ? [] : [`${fixed(angle(volume.affine, points[0], points[1], points[2], sized), 1)}°`];
  }
  const found = region(volume, axis, points, sized);
  if (found === null) return [];
  const values = ct ? " HU" : "";
  return [
    `${short(found.mean)} ± ${short(found.deviation)}${values}`,
    `${fill(phrases.measures.range, { low: short(found.low), high: short(found.high) })}${values}`,
    `${short(found.area)} ${sized ? "mm²" : "px²"}`,
  ];
}

/** Say whether lengths in an image are millimetres: a picture whose pixels are 1 by 1 says nothing of its size. */
export function isSized(volume: Volume): boolean {
  const [, y, x] = spacingOf(volume.affine);
  return volume.shape[0] > 1 || y !== 1 || x !== 1;
}

const KEY = "segmend.rulers";
const KEPT = 200; // cases

type Entries = readonly (readonly [string, readonly Ruler[]])[]; // the last one first

function entries(): Entries {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? (found as Entries) : [];
  } catch {
    return []; // no storage, or not what we wrote
  }
}

/** Return what was measured in a case in this browser. */
export function rulersOf(id: string): readonly Ruler[] {
  return entries().find(([known]) => known === id)?.[1] ?? [];
}

export function keepRulers(id: string, rulers: readonly Ruler[]): void {
  const others = entries().filter(([known]) => known !== id);
  const all: Entries = rulers.length === 0 ? others : [[id, rulers], ...others];
  try {
    localStorage.setItem(KEY, JSON.stringify(all.slice(0, KEPT)));
  } catch {
    // they are there until the page is closed
  }
}
