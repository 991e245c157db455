/**
 * A smaller copy of a volume and its mask for the 3D picture, in the order that NiiVue keeps: x to the
 * right, y to the front, z up. 3D needs no single voxels; 160 a side turn smoothly without a graphics card.
 */

import type { Contrast } from "./contrast";
import { type Affine, type Axis, type Box, type Index, orientation, spacingOf } from "./geometry";
import type { LabelMap } from "./labelmap";
import type { Volume } from "./nifti";

export const MAX_SIDE = 160; // voxels a side
export const MAX_SIDE_SOFTWARE = 96; // voxels a side, where there is no graphics card to draw them

export interface Reduction {
  readonly axes: readonly [Axis, Axis, Axis]; // of the file, for x, y and z
  readonly flipped: readonly [boolean, boolean, boolean];
  readonly step: Index; // file voxels a reduced voxel, by file axis
  readonly size: readonly [number, number, number]; // x, y, z
  readonly spacing: readonly [number, number, number]; // mm
}

/** Return how a grid is reduced: each axis by itself, so thick slices stay as they are. */
export function reductionOf(shape: Index, affine: Affine, most: number): Reduction {
  const found = orientation(affine);
  const mm = spacingOf(affine);
  const step = shape.map((length) => Math.ceil(length / most)) as [number, number, number];
  const axes = found.map(({ axis }) => axis) as [Axis, Axis, Axis];
  return {
    axes,
    flipped: found.map(({ same }) => !same) as [boolean, boolean, boolean],
    step,
    size: axes.map((axis) => Math.ceil(shape[axis] / step[axis])) as [number, number, number],
    spacing: axes.map((axis) => mm[axis] * step[axis]) as [number, number, number],
  };
}

/** Where a reduced voxel begins along one of its axes, in the file's array: start and stride. */
function walk(reduction: Reduction, shape: Index): { start: number; stride: readonly number[] } {
  const strides: Index = [shape[1] * shape[2], shape[2], 1];
  let start = 0;
  const stride = reduction.axes.map((axis, i) => {
    const by = strides[axis] * reduction.step[axis];
    if (reduction.flipped[i]) start += by * (reduction.size[i] - 1);
    return reduction.flipped[i] ? -by : by;
  });
  return { start, stride };
}

/** Return the volume's values in the window as bytes, x fastest; the middle voxel stands for its block. */
export function reduceVolume(volume: Volume, reduction: Reduction, contrast: Contrast): Uint8Array {
  const { start, stride } = walk(reduction, volume.shape);
  const [nx, ny, nz] = reduction.size;
  const out = new Uint8ClampedArray(nx * ny * nz);
  const numbers = volume.rgb ? 3 : 1;
  const gain = 255 / (contrast.high - contrast.low || 1);
  let to = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      let from = start + z * stride[2] + y * stride[1];
      for (let x = 0; x < nx; x++, from += stride[0]) {
        const raw = volume.values[from * numbers + (volume.rgb ? 1 : 0)];
        out[to++] = ((volume.rgb ? raw : raw * volume.slope + volume.intercept) - contrast.low) * gain;
      }
    }
  }
  return new Uint8Array(out.buffer);
}

/** Write the mask's slots into the reduced mask, in the blocks that `box` touches; any voxel marks its block. */
export function reduceMask(
  map: LabelMap,
  reduction: Reduction,
  box: Box,
  slot: (label: number) => number,
  out: Uint8Array,
): void {
  const strides: Index = [map.shape[1] * map.shape[2], map.shape[2], 1];
  const [nx, ny] = reduction.size;
  const place = [1, nx, nx * ny] as const;
  const range = (i: number): number[] => {
    const axis = reduction.axes[i];
    const first = Math.floor(box.low[axis] / reduction.step[axis]);
    const last = Math.ceil(box.high[axis] / reduction.step[axis]);
    return Array.from({ length: Math.max(0, last - first) }, (_, n) => first + n);
  };
  const [xs, ys, zs] = [range(0), range(1), range(2)];
  const block = (axis: Axis, at: number): [number, number] => {
    const low = at * reduction.step[axis];
    return [low, Math.min(map.shape[axis], low + reduction.step[axis])];
  };
  const to = (i: 0 | 1 | 2, at: number): number => (reduction.flipped[i] ? reduction.size[i] - 1 - at : at) * place[i];
  const [ax, ay, az] = reduction.axes;
  for (const z of zs) {
    const [z0, z1] = block(az, z);
    for (const y of ys) {
      const [y0, y1] = block(ay, y);
      for (const x of xs) {
        const [x0, x1] = block(ax, x);
        let label = 0;
        for (let k = z0; k < z1 && label === 0; k++) {
          for (let j = y0; j < y1 && label === 0; j++) {
            const line = k * strides[az] + j * strides[ay];
            for (let i = x0; i < x1 && label === 0; i++) label = map.values[line + i * strides[ax]]!;
          }
        }
        out[to(0, x) + to(1, y) + to(2, z)] = label === 0 ? 0 : slot(label);
      }
    }
  }
}

/** Return a NIfTI-1 file of bytes on the reduced grid. */
export function niftiOf(reduction: Reduction, values: Uint8Array): ArrayBuffer {
  const file = new Uint8Array(352 + values.length);
  const view = new DataView(file.buffer);
  view.setInt32(0, 348, true);
  [3, ...reduction.size, 1, 1, 1, 1].forEach((length, i) => {
    view.setInt16(40 + 2 * i, length, true);
  });
  view.setInt16(70, 2, true); // uint8
  view.setInt16(72, 8, true);
  [1, ...reduction.spacing].forEach((mm, i) => {
    view.setFloat32(76 + 4 * i, mm, true);
  });
  view.setFloat32(108, 352, true);
  view.setFloat32(112, 1, true);
  view.setInt16(254, 1, true);
  reduction.spacing.forEach((mm, i) => {
    view.setFloat32(280 + 20 * i, mm, true);
    view.setFloat32(292 + 16 * i, (-mm * reduction.size[i]) / 2, true);
  });
  view.setUint32(344, 0x6e2b3100, false); // n+1
  file.set(values, 352);
  return file.buffer;
}
