/**
 * The volume the server sends: an uncompressed NIfTI-1 file, read where it lies.
 *
 * NIfTI counts (x, y, z) with x fastest; that is (z, y, x) row-major, so the voxels are used as they
 * come and only the affine's columns are turned, here and nowhere else.
 */

import type { Affine, Index } from "./geometry";

export type Numbers =
  Float64Array | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array;

export interface Volume {
  readonly shape: Index;
  readonly affine: Affine;
  readonly values: Numbers; // one a voxel, three (red, green, blue) where rgb
  readonly rgb: boolean;
  readonly slope: number;
  readonly intercept: number;
}

export class VolumeError extends Error {}

type Maker = new (buffer: ArrayBuffer, offset: number, length: number) => Numbers;
const TYPES: Readonly<Partial<Record<number, readonly [Maker, number, number]>>> = {
  // datatype: constructor, bytes a number, numbers a voxel
  2: [Uint8Array, 1, 1],
  4: [Int16Array, 2, 1],
  8: [Int32Array, 4, 1],
  16: [Float32Array, 4, 1],
  64: [Float64Array, 8, 1],
  128: [Uint8Array, 1, 3],
  256: [Int8Array, 1, 1],
  512: [Uint16Array, 2, 1],
  768: [Uint32Array, 4, 1],
};
const LONG: Readonly<Partial<Record<number, typeof BigInt64Array | typeof BigUint64Array>>> = {
  1024: BigInt64Array,
  1280: BigUint64Array,
};

/** Return the volume in a NIfTI-1 file of this machine's byte order (little endian everywhere that matters). */
export function readVolume(buffer: ArrayBuffer): Volume {
  const view = new DataView(buffer);
  if (buffer.byteLength < 352 || view.getInt32(0, true) !== 348) {
    throw new VolumeError("The image arrived damaged; load the case again.");
  }
  const size = (axis: number): number => Math.max(1, view.getInt16(42 + 2 * axis, true));
  const shape: Index = [size(2), size(1), size(0)];
  const datatype = view.getInt16(70, true);
  const long = LONG[datatype];
  const type = long === undefined ? TYPES[datatype] : ([Float64Array, 8, 1] as const);
  if (type === undefined)
    throw new VolumeError(`The image has voxels of a kind this viewer cannot show (${datatype}).`);
  const [make, bytes, numbers] = type;
  const offset = Math.max(352, view.getFloat32(108, true));
  const length = shape[0] * shape[1] * shape[2] * numbers;
  if (buffer.byteLength < offset + length * bytes) {
    throw new VolumeError("Only a part of the image arrived; load the case again.");
  }
  const slope = view.getFloat32(112, true);
  const open = (kind: Maker, width: number): Numbers =>
    offset % width === 0 ? new kind(buffer, offset, length) : new kind(buffer.slice(offset), 0, length);
  return {
    shape,
    affine: affineOf(view),
    values:
      long === undefined ? open(make, bytes) : Float64Array.from(new long(buffer.slice(offset), 0, length), Number),
    rgb: datatype === 128,
    slope: slope !== 0 && Number.isFinite(slope) ? slope : 1,
    intercept: slope !== 0 && Number.isFinite(slope) ? view.getFloat32(116, true) : 0,
  };
}

function affineOf(view: DataView): Affine {
  const float = (at: number): number => view.getFloat32(at, true);
  if (view.getInt16(254, true) > 0) {
    return [0, 1, 2].map((row) => {
      const at = 280 + 16 * row;
      return [float(at + 8), float(at + 4), float(at), float(at + 12)] as const;
    });
  }
  const spacing = [float(80), float(84), float(88)].map((mm) => Math.abs(mm) || 1) as [number, number, number];
  if (view.getInt16(252, true) <= 0) {
    return [
      [0, 0, spacing[0], 0],
      [0, spacing[1], 0, 0],
      [spacing[2], 0, 0, 0],
    ];
  }
  return fromQuaternion(
    [float(256), float(260), float(264)],
    [float(268), float(272), float(276)],
    spacing,
    float(76) < 0 ? -1 : 1,
  );
}

type Three = readonly [number, number, number];

/** Return the affine that a NIfTI quaternion (b, c, d), offset, spacing (x, y, z) and handedness stand for. */
export function fromQuaternion([b, c, d]: Three, offset: Three, [dx, dy, dz]: Three, handed: 1 | -1): Affine {
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const rotation: readonly Three[] = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
  ];
  return rotation.map(([x, y, z], row) => [z * dz * handed, y * dy, x * dx, offset[row]] as const);
}

/** Return the value of a voxel in the file's units, or its three colours. */
export function valueAt(volume: Volume, [z, y, x]: Index): readonly number[] {
  const at = (z * volume.shape[1] + y) * volume.shape[2] + x;
  if (volume.rgb) return Array.from(volume.values.subarray(3 * at, 3 * at + 3));
  return [volume.values[at] * volume.slope + volume.intercept];
}

/** True for a picture that lies nowhere in a patient: a single slice in colour, or one without a place. */
export function isPhoto(volume: Volume, modality: string): boolean {
  const placed = volume.affine.some((row) => row[3] !== 0);
  return volume.shape[0] === 1 && (volume.rgb || modality === "XC" || (modality === "" && !placed));
}
