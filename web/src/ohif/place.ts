/** From the patient to voxels and back: OHIF counts millimetres to the left and the back, Segmend's grids to the right. */

import type { Affine, Axis, Index } from "../geometry";
import type { World } from "./viewer";

type Vector = readonly [number, number, number];

const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const column = (affine: Affine, at: number): Vector => [affine[0][at], affine[1][at], affine[2][at]];

/** Return where a voxel's middle lies in the patient. */
export function toWorld(affine: Affine, [z, y, x]: Vector): World {
  const at = (row: number): number => affine[row][0] * z + affine[row][1] * y + affine[row][2] * x + affine[row][3];
  return [-at(0), -at(1), at(2)];
}

/** Return the voxel at a place of the patient, as broken numbers. */
export function toVoxel(affine: Affine, world: World): Vector {
  const [down, row, along] = [column(affine, 0), column(affine, 1), column(affine, 2)];
  const origin = column(affine, 3);
  const from: Vector = [-world[0] - origin[0], -world[1] - origin[1], world[2] - origin[2]];
  const volume = dot(down, cross(row, along));
  return [
    dot(from, cross(row, along)) / volume,
    dot(from, cross(along, down)) / volume,
    dot(from, cross(down, row)) / volume,
  ];
}

/** Return the axis of the grid that leads most straight through a view of the patient, by the view's normal. */
export function axisAcross(affine: Affine, normal: World): Axis {
  const ahead: Vector = [-normal[0], -normal[1], normal[2]];
  const along = ([0, 1, 2] as const).map((axis) => {
    const step = column(affine, axis);
    return Math.abs(dot(step, ahead)) / Math.hypot(...step);
  });
  return ([1, 2] as const).reduce<Axis>((best, axis) => (along[axis] > along[best] ? axis : best), 0);
}

/** Return the voxel that a place of the patient lies in, the nearest of the grid's where it lies outside. */
export function indexAt(affine: Affine, shape: Index, world: World): { index: Index; inside: boolean } {
  const whole = toVoxel(affine, world).map(Math.round) as [number, number, number];
  const index = whole.map((value, axis) => Math.min(shape[axis] - 1, Math.max(0, value))) as [number, number, number];
  return { index, inside: whole.every((value, axis) => value === index[axis]) };
}
