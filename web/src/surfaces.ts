/** Surfaces of masks, and how they are turned: pure functions on typed arrays. Places are RAS millimetres. */

import { type Affine, type Index, type Plane, toMm } from "./geometry";
import { phrases } from "./phrases";

export type Vector = readonly [number, number, number];

export interface Surface {
  readonly vertices: Float32Array; // x, y, z of each
  readonly corners: Uint32Array; // three a triangle, anticlockwise seen from outside
}

export class SurfaceError extends Error {}

/** Read what the server packs: the numbers of vertices and triangles, the vertices, the corners. */
export function readSurface(buffer: ArrayBuffer): Surface {
  const [vertices, triangles] = buffer.byteLength < 8 ? [0, 0] : new Uint32Array(buffer, 0, 2);
  if (buffer.byteLength !== 8 + 12 * (vertices + triangles)) throw new SurfaceError(phrases.errors.surface);
  return {
    vertices: new Float32Array(buffer, 8, 3 * vertices),
    corners: new Uint32Array(buffer, 8 + 12 * vertices, 3 * triangles),
  };
}

/** Return a vector of length one at each vertex, at right angles to the surface and out of it. */
export function normalsOf({ vertices, corners }: Surface): Float32Array {
  const out = new Float32Array(vertices.length);
  for (let i = 0; i < corners.length; i += 3) {
    const [a, b, c] = [3 * corners[i], 3 * corners[i + 1], 3 * corners[i + 2]];
    const [x0, y0, z0] = [
      vertices[b] - vertices[a],
      vertices[b + 1] - vertices[a + 1],
      vertices[b + 2] - vertices[a + 2],
    ];
    const [x1, y1, z1] = [
      vertices[c] - vertices[a],
      vertices[c + 1] - vertices[a + 1],
      vertices[c + 2] - vertices[a + 2],
    ];
    const [x, y, z] = [y0 * z1 - z0 * y1, z0 * x1 - x0 * z1, x0 * y1 - y0 * x1]; // as long as twice its area, its weight
    for (const at of [a, b, c]) {
      out[at] += x;
      out[at + 1] += y;
      out[at + 2] += z;
    }
  }
  for (let i = 0; i < out.length; i += 3) {
    const length = Math.hypot(out[i], out[i + 1], out[i + 2]) || 1;
    out[i] /= length;
    out[i + 1] /= length;
    out[i + 2] /= length;
  }
  return out;
}

/** Where somebody looks from: straight from the front at 0 and 0, from the patient's left at a quarter turn. */
export interface Gaze {
  readonly azimuth: number; // radians about the patient's long axis
  readonly elevation: number; // radians above the horizon
  readonly zoom: number;
}

export const START: Gaze = { azimuth: -0.6, elevation: 0.35, zoom: 1 };
const HIGHEST = Math.PI / 2;

/** Return the gaze after a drag of so many radians; nobody looks from beyond the head or the feet. */
export function turned({ azimuth, elevation, zoom }: Gaze, right: number, down: number): Gaze {
  return { azimuth: azimuth + right, elevation: Math.max(-HIGHEST, Math.min(HIGHEST, elevation + down)), zoom };
}

export function zoomed(gaze: Gaze, factor: number): Gaze {
  return { ...gaze, zoom: Math.max(0.3, Math.min(12, gaze.zoom * factor)) };
}

/** Return which ways in the patient are right and up on the screen, and towards who looks. */
export function axesOf({ azimuth, elevation }: Gaze): { right: Vector; up: Vector; towards: Vector } {
  const [sin, cos] = [Math.sin(azimuth), Math.cos(azimuth)];
  const [high, flat] = [Math.sin(elevation), Math.cos(elevation)];
  return {
    right: [-cos, -sin, 0],
    up: [sin * high, -cos * high, flat],
    towards: [-sin * flat, cos * flat, high],
  };
}

/** A ball round what is shown. */
export interface Ball {
  readonly centre: Vector;
  readonly radius: number; // mm
}

/** Return the ball round a volume. */
export function ballOf(affine: Affine, shape: Index): Ball {
  const middle = shape.map((length) => (length - 1) / 2) as [number, number, number];
  const centre = toMm(affine, middle);
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((i) =>
    toMm(affine, shape.map((length, axis) => ((i >> axis) & 1 ? length - 0.5 : -0.5)) as [number, number, number]),
  );
  const radius = Math.max(...corners.map((one) => Math.hypot(...one.map((value, i) => value - centre[i]))));
  return { centre, radius };
}

/** Return the matrix from millimetres to clip space, columns first, for a picture of this width over height. */
export function matrixOf(gaze: Gaze, { centre, radius }: Ball, aspect: number): Float32Array {
  const { right, up, towards } = axesOf(gaze);
  const scale = (gaze.zoom * Math.min(1, aspect)) / radius; // all of it fits, in a picture that is narrow, too
  const rows = [
    right.map((value) => (value * scale) / aspect),
    up.map((value) => value * scale),
    towards.map((value) => -value / radius),
  ];
  const dot = (row: readonly number[]): number => row[0] * centre[0] + row[1] * centre[1] + row[2] * centre[2];
  const out = new Float32Array(16);
  rows.forEach((row, i) => {
    row.forEach((value, column) => {
      out[4 * column + i] = value;
    });
    out[12 + i] = -dot(row);
  });
  out[15] = 1;
  return out;
}

/** Return where a place is in clip space, -1 to 1 from left to right and from bottom to top. */
export function project(matrix: Float32Array, [x, y, z]: Vector): Vector {
  const at = (row: number): number => matrix[row] * x + matrix[4 + row] * y + matrix[8 + row] * z + matrix[12 + row];
  return [at(0), at(1), at(2)];
}

/** Return the four corners of a slice, in the order upper left, upper right, lower left, lower right of its picture. */
export function cornersOf(plane: Plane, shape: Index, affine: Affine, slice: number): readonly Vector[] {
  return [
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
  ].map(([u, v]) => {
    const index: [number, number, number] = [0, 0, 0];
    index[plane.normal] = slice;
    index[plane.right] = (u === 1) !== plane.flipRight ? shape[plane.right] - 0.5 : -0.5;
    index[plane.down] = (v === 1) !== plane.flipDown ? shape[plane.down] - 0.5 : -0.5;
    return toMm(affine, index);
  });
}
