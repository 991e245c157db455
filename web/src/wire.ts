/**
 * Patch frames: how changed boxes of the label map travel. Little endian:
 *
 *   "SGM1" | u32 position | u32 flags | u32 low z, y, x | u32 high z, y, x | u32 layer | payload
 *
 * The payload is the uint16 label values of the box, x fastest; flag bit 1 marks a payload
 * compressed with zlib. A frame that begins with "SGD1" has a uint8 a voxel: the method's uncertainty.
 */

import type { Box, Index } from "./geometry";
import { fill, phrases } from "./phrases";

export interface MaskPatch {
  readonly position: number; // of the event this answers
  readonly box: Box;
  readonly values: Uint16Array;
  readonly layer: number; // whose map it is of
}

/** How uncertain the method is of each voxel of a box, 0 to 255. */
export interface UncertaintyPatch {
  readonly position: number;
  readonly box: Box;
  readonly values: Uint8Array;
}

export const HEADER_BYTES = 40;
const MASK = 0x53474d31; // "SGM1"
const UNCERTAINTY = 0x53474431; // "SGD1"

export function isUncertainty(patch: MaskPatch | UncertaintyPatch): patch is UncertaintyPatch {
  return patch.values instanceof Uint8Array;
}

export class FrameError extends Error {}

/** Return the patch in a frame. */
export async function readPatch(frame: ArrayBuffer): Promise<MaskPatch | UncertaintyPatch> {
  const view = new DataView(frame);
  const magic = frame.byteLength < HEADER_BYTES ? 0 : view.getUint32(0, false);
  if (magic !== MASK && magic !== UNCERTAINTY) {
    throw new FrameError(phrases.errors.mask);
  }
  const number = (word: number): number => view.getUint32(4 * word, true);
  const low: Index = [number(3), number(4), number(5)];
  const high: Index = [number(6), number(7), number(8)];
  const flags = number(2);
  const payload = new Uint8Array(frame, HEADER_BYTES);
  const bytes = (flags & 2) !== 0 && payload.length > 0 ? await inflate(payload) : payload;
  const voxels = (high[0] - low[0]) * (high[1] - low[1]) * (high[2] - low[2]);
  const size = magic === MASK ? 2 : 1;
  if (bytes.length !== size * voxels) {
    throw new FrameError(fill(phrases.errors.maskSize, { voxels, bytes: bytes.length }));
  }
  const patch = { position: number(1), box: { low, high } };
  return magic === MASK
    ? { ...patch, values: new Uint16Array(bytes.buffer, bytes.byteOffset, voxels), layer: number(9) }
    : { ...patch, values: bytes };
}

/** Unpack bytes; they are written to the stream as they are, for a Blob goes through the browser's other process. */
async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const { readable, writable } = new DecompressionStream("deflate");
  const writer = writable.getWriter();
  for (const step of [writer.write(bytes), writer.close()]) step.catch(() => undefined); // whoever reads is told
  return new Uint8Array(await new Response(readable).arrayBuffer());
}
