/**
 * The volume the server sends: the header of a NIfTI-1 file, and its voxels some slices at a time.
 *
 * NIfTI counts (x, y, z) with x fastest; that is (z, y, x) row-major, so the voxels are used as they
 * come and only the affine's columns are turned, here and nowhere else.
 */

import type { Affine, Index } from "./geometry";
import { fill, phrases } from "./phrases";

export type Numbers =
  Float64Array | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array;

export interface Volume {
  readonly shape: Index;
  readonly affine: Affine;
  readonly values: Numbers; // one a voxel, three (red, green, blue) where rgb
  readonly rgb: boolean;
  readonly slope: number;
  readonly intercept: number;
  readonly arrived?: Uint8Array; // 1 for each slice that is there; all are without
}

/** What the first bytes of the file say. */
export interface Header {
  readonly shape: Index;
  readonly affine: Affine;
  readonly rgb: boolean;
  readonly slope: number;
  readonly intercept: number;
  readonly offset: number; // of the voxels, in bytes
  readonly bytes: number; // a number
  readonly make: Maker;
  readonly long: typeof BigInt64Array | typeof BigUint64Array | undefined; // of 64 bits, which are shown as doubles
}

export const HEADER_BYTES = 352;

export class VolumeError extends Error {}

interface Maker {
  new (buffer: ArrayBuffer, offset: number, length: number): Numbers;
  readonly BYTES_PER_ELEMENT: number;
}
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

/** Return what the header of a NIfTI-1 file says, in this machine's byte order (little endian everywhere that matters). */
export function readHeader(buffer: ArrayBuffer): Header {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getInt32(0, true) !== 348) {
    throw new VolumeError(phrases.errors.damaged);
  }
  const size = (axis: number): number => Math.max(1, view.getInt16(42 + 2 * axis, true));
  const datatype = view.getInt16(70, true);
  const long = LONG[datatype];
  const type = long === undefined ? TYPES[datatype] : ([Float64Array, 8, 1] as const);
  if (type === undefined) throw new VolumeError(fill(phrases.errors.datatype, { datatype }));
  const [make, bytes] = type;
  const slope = view.getFloat32(112, true);
  const scaled = slope !== 0 && Number.isFinite(slope);
  return {
    shape: [size(2), size(1), size(0)],
    affine: affineOf(view),
    rgb: datatype === 128,
    slope: scaled ? slope : 1,
    intercept: scaled ? view.getFloat32(116, true) : 0,
    offset: Math.max(HEADER_BYTES, view.getFloat32(108, true)),
    bytes,
    make,
    long,
  };
}

function numbersOf({ make, long }: Header, buffer: ArrayBuffer, offset: number, length: number): Numbers {
  return long === undefined
    ? new make(buffer, offset, length)
    : Float64Array.from(new long(buffer, offset, length), Number);
}

/** Return a volume whose slices are still to come: nothing is written before, for that takes a large one long. */
export function emptyVolume({ shape, affine, rgb, slope, intercept, make }: Header): Volume & { arrived: Uint8Array } {
  const length = shape[0] * shape[1] * shape[2] * (rgb ? 3 : 1);
  const values = new make(new ArrayBuffer(length * make.BYTES_PER_ELEMENT), 0, length);
  return { shape, affine, rgb, slope, intercept, values, arrived: new Uint8Array(shape[0]) };
}

/** Write the bytes of some slices into a volume; those of a whole number of slices, which begin and end with one. */
export function putSlices(
  volume: Volume & { arrived: Uint8Array },
  header: Header,
  [low, high]: readonly [number, number],
  bytes: ArrayBuffer,
): void {
  const perSlice = (header.rgb ? 3 : 1) * header.shape[1] * header.shape[2];
  if (bytes.byteLength !== (high - low) * perSlice * header.bytes) {
    throw new VolumeError(phrases.errors.damaged);
  }
  volume.values.set(numbersOf(header, bytes, 0, (high - low) * perSlice), low * perSlice);
  volume.arrived.fill(1, low, high);
}

/** Say whether a slice of the file is there. */
export const isThere = ({ arrived }: Pick<Volume, "arrived">, z: number): boolean => arrived?.[z] !== 0;

/** Return the part of a volume's slices that are there. */
export function partOf({ arrived }: Volume): number {
  return arrived === undefined ? 1 : arrived.reduce((sum, one) => sum + one, 0) / arrived.length;
}

/** Undo what the server does to slices that it packs: the lowest bytes of all numbers come first, then the next ones. */
export function joined(packed: Uint8Array<ArrayBuffer>, bytes: number): ArrayBuffer {
  if (bytes === 1) return packed.byteOffset === 0 ? packed.buffer.slice(0, packed.length) : packed.slice().buffer;
  const count = packed.length / bytes;
  const out = new Uint8Array(packed.length);
  for (let byte = 0; byte < bytes; byte++) {
    const from = byte * count;
    for (let i = 0, to = byte; i < count; i++, to += bytes) out[to] = packed[from + i];
  }
  return out.buffer;
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
