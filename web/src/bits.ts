/** A label's mask as a prompt: one bit a voxel of its box, packed by zlib, as `segmend.core.prompts` reads it. */

import type { Prompt } from "./api";
import { type Axis, type Box, union } from "./geometry";
import type { LabelMap } from "./labelmap";

/** Return the mask of a label as a prompt; one empty voxel where there is none. */
export async function maskPrompt(map: LabelMap, label: number): Promise<Extract<Prompt, { kind: "mask" }>> {
  const box = boundsOf(map, label) ?? { low: [0, 0, 0], high: [1, 1, 1] };
  const shape = [0, 1, 2].map((axis) => box.high[axis] - box.low[axis]);
  const bits = await deflate(bitsOf(map, label, box));
  return { kind: "mask", low: box.low, shape: [shape[0], shape[1], shape[2]], bits: base64(bits) };
}

/** Return the box round a label's voxels, null where it has none. */
export function boundsOf(map: LabelMap, label: number): Box | null {
  const { painted, shape } = map;
  if (painted === null || !map.has(label)) return null;
  let box: Box | null = null;
  for (let z = painted.low[0]; z < painted.high[0]; z++) {
    for (let y = painted.low[1]; y < painted.high[1]; y++) {
      const row = (z * shape[1] + y) * shape[2];
      let [first, last] = [painted.low[2], painted.high[2]];
      while (first < last && map.values[row + first] !== label) first += 1;
      while (first < last && map.values[row + last - 1] !== label) last -= 1;
      if (first < last) box = union(box, { low: [z, y, first], high: [z + 1, y + 1, last] });
    }
  }
  return box;
}

/** Return the width in voxels of a disc as large as a label's mask in one slice; null where it has none there. */
export function widthIn(map: LabelMap, label: number, axis: Axis, slice: number): number | null {
  const { painted } = map;
  if (painted === null || slice < painted.low[axis] || slice >= painted.high[axis]) return null;
  const [low, high] = [[...painted.low], [...painted.high]];
  low[axis] = slice;
  high[axis] = slice + 1;
  let area = 0;
  for (let z = low[0]; z < high[0]; z++) {
    for (let y = low[1]; y < high[1]; y++) {
      const row = (z * map.shape[1] + y) * map.shape[2];
      for (let x = low[2]; x < high[2]; x++) if (map.values[row + x] === label) area += 1;
    }
  }
  return area === 0 ? null : 2 * Math.sqrt(area / Math.PI);
}

/** Return a bit a voxel of the box, x fastest, the first voxel in the highest bit. */
export function bitsOf(map: LabelMap, label: number, { low, high }: Box): Uint8Array<ArrayBuffer> {
  const voxels = (high[0] - low[0]) * (high[1] - low[1]) * (high[2] - low[2]);
  const bytes = new Uint8Array(Math.ceil(voxels / 8));
  let at = 0;
  for (let z = low[0]; z < high[0]; z++) {
    for (let y = low[1]; y < high[1]; y++) {
      const row = (z * map.shape[1] + y) * map.shape[2];
      for (let x = low[2]; x < high[2]; x++, at++) {
        if (map.values[row + x] === label) bytes[at >> 3] |= 0x80 >> (at & 7);
      }
    }
  }
  return bytes;
}

/** Return the voxels of a mask that travels as a prompt: 1 inside, x fastest, in its box. */
export async function unpackMask({
  low,
  shape,
  bits,
}: Omit<Extract<Prompt, { kind: "mask" }>, "kind">): Promise<{ box: Box; inside: Uint8Array }> {
  const packed = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const inside = new Uint8Array(shape[0] * shape[1] * shape[2]);
  for (let i = 0; i < inside.length; i++) inside[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  return { box: { low, high: [low[0] + shape[0], low[1] + shape[1], low[2] + shape[2]] }, inside };
}

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function base64(bytes: Uint8Array): string {
  let text = "";
  const step = 0x8000; // as many arguments as a call may have
  for (let i = 0; i < bytes.length; i += step) text += String.fromCharCode(...bytes.subarray(i, i + step));
  return btoa(text);
}
