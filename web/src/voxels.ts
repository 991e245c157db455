/**
 * The voxels of a case on their way: the slices round the one that is shown first, then the rest, a block at a time.
 *
 * A volume can be shown as soon as its first block is there; the others are written into the same array as they come.
 * Blocks are packed on a slow line. On a quick one, such as this machine's own, that would only take time.
 */

import * as api from "./api";
import { emptyVolume, HEADER_BYTES, joined, putSlices, readHeader, type Volume } from "./nifti";

/** Bytes of the first block, which is waited for, and of each of the others. */
const FIRST_BYTES = 2 << 20;
const BLOCK_BYTES = 8 << 20;
/** Bytes of voxels up to which a volume is shown at once when all of it is there. */
const WHOLE_BYTES = 24 << 20;
const AT_ONCE = 3; // requests, which leaves others of the browser's six to clicks and thumbnails
const QUICK = 40_000; // bytes a millisecond of a line on which packing is slower than sending
const TRIES = 4;
const PAUSE_MS = 1000; // before a block is asked for again, times the number of tries

export interface Coming {
  readonly volume: Volume;
  readonly shown: Promise<void>; // settled when enough of it is there to be shown
  readonly whole: Promise<void>; // settled when all of it is there
  onArrived: (part: number) => void; // called with the part that is there whenever there is more
}

type Block = readonly [number, number]; // its first slice, and the one just behind it

/** Return the slices in the order they are fetched in: round the middle, then outwards, in blocks of bytes. */
export function blocksOf(
  slices: number,
  middle: number,
  sliceBytes: number,
  first = FIRST_BYTES,
  others = BLOCK_BYTES,
): Block[] {
  const count = (bytes: number): number => Math.max(1, Math.floor(bytes / sliceBytes));
  let low = Math.max(0, middle - (count(first) >> 1));
  let high = Math.min(slices, low + count(first));
  const blocks: [number, number][] = [[low, high]];
  while (low > 0 || high < slices) {
    if (high < slices) blocks.push([high, (high = Math.min(slices, high + count(others)))]);
    if (low > 0) {
      const end = low;
      low = Math.max(0, low - count(others));
      blocks.push([low, end]);
    }
  }
  return blocks;
}

/** Begin to fetch the voxels of a case; resolves when it is known what they are. */
export async function fetchVoxels(id: string, asked: api.Asked, middle: number | null = null): Promise<Coming> {
  const header = readHeader(await again(() => api.volumeHeader(id, asked, HEADER_BYTES), asked.signal));
  const volume = emptyVolume(header);
  const [slices, rows, columns] = header.shape;
  const sliceBytes = rows * columns * header.bytes * (header.rgb ? 3 : 1);
  const [first, ...others] = blocksOf(slices, middle ?? slices >> 1, sliceBytes);
  let [there, packed] = [0, !isLocal(location.hostname)];
  const fetchBlock = async (block: Block): Promise<void> => {
    const begun = performance.now();
    const [was, size] = [packed, (block[1] - block[0]) * sliceBytes];
    const bytes = await again(() => api.slices(id, asked, block, was), asked.signal);
    if (size > FIRST_BYTES / 2) packed ||= size / (performance.now() - begun) < QUICK;
    putSlices(volume, header, block, was ? joined(bytes, header.rgb ? 1 : header.bytes) : bytes.buffer);
    there += block[1] - block[0];
    coming.onArrived(there / slices);
  };
  const fetchOthers = async (): Promise<void> => {
    for (let block = others.shift(); block !== undefined; block = others.shift()) await fetchBlock(block);
  };
  const begun = fetchBlock(first);
  const whole = begun.then(() => Promise.all(Array.from({ length: AT_ONCE }, fetchOthers))).then(() => undefined);
  const shown = slices * sliceBytes <= WHOLE_BYTES ? whole : begun;
  for (const one of [shown, whole]) one.catch(() => undefined); // whoever waits for them is told
  const coming: Coming = { volume, shown, whole, onArrived: () => undefined };
  return coming;
}

/** Ask until there is an answer; what the server refuses is not asked for again. */
async function again<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const refused = error instanceof api.ApiError && error.status >= 400 && error.status < 500;
      if (signal.aborted || refused || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * tries));
    }
  }
}

/** Say whether a server of this name is this machine. */
export function isLocal(name: string): boolean {
  return name === "localhost" || name === "[::1]" || /^127\.[0-9.]+$/.test(name);
}
