import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readPatch } from "../src/wire";

function frame(flags: number, values: number[], high = [1, 3, 4]): ArrayBuffer {
  const raw = new Uint8Array(Uint16Array.from(values).buffer);
  const payload = flags & 2 ? new Uint8Array(deflateSync(raw)) : raw;
  const bytes = new Uint8Array(40 + payload.length);
  bytes.set([0x53, 0x47, 0x4d, 0x31]);
  const view = new DataView(bytes.buffer);
  [7, flags, 0, 1, 2, ...high].forEach((value, i) => {
    view.setUint32(4 + 4 * i, value, true);
  });
  bytes.set(payload, 40);
  return bytes.buffer;
}

describe("a patch frame", () => {
  it("carries the box, the values and whether it is the last", async () => {
    const patch = await readPatch(frame(1, [1, 2, 3, 65535]));
    expect(patch.position).toBe(7);
    expect(patch.last).toBe(true);
    expect(patch.box).toEqual({ low: [0, 1, 2], high: [1, 3, 4] });
    expect(Array.from(patch.values)).toEqual([1, 2, 3, 65535]);
  });

  it("may be compressed", async () => {
    const patch = await readPatch(frame(2, [9, 8, 7, 6]));
    expect(patch.last).toBe(false);
    expect(Array.from(patch.values)).toEqual([9, 8, 7, 6]);
  });

  it("may be empty", async () => {
    const patch = await readPatch(frame(3, [], [0, 1, 2]));
    expect(patch.values).toHaveLength(0);
  });

  it("is refused when it is something else", async () => {
    await expect(readPatch(new ArrayBuffer(8))).rejects.toThrow("could not be read");
    await expect(readPatch(frame(1, [1, 2]))).rejects.toThrow("A mask of 4 voxels came with 4 bytes");
  });
});
