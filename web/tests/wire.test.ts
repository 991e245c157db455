import { deflateSync, inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { LabelMap, LayeredMap } from "../src/labelmap";
import { bitsOf, boundsOf, maskPrompt, widthIn } from "../src/bits";
import { isUncertainty, readPatch } from "../src/wire";

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
  it("carries the box and the values", async () => {
    const patch = await readPatch(frame(0, [1, 2, 3, 65535]));
    expect(patch.position).toBe(7);
    expect(patch.box).toEqual({ low: [0, 1, 2], high: [1, 3, 4] });
    expect(Array.from(patch.values)).toEqual([1, 2, 3, 65535]);
  });

  it("may be compressed", async () => {
    const patch = await readPatch(frame(2, [9, 8, 7, 6]));
    expect(Array.from(patch.values)).toEqual([9, 8, 7, 6]);
  });

  it("may be empty", async () => {
    const patch = await readPatch(frame(2, [], [0, 1, 2]));
    expect(patch.values).toHaveLength(0);
  });

  it("is refused when it is something else", async () => {
    await expect(readPatch(new ArrayBuffer(8))).rejects.toThrow("could not be read");
    await expect(readPatch(frame(0, [1, 2]))).rejects.toThrow("A mask of 4 voxels came with 4 bytes");
  });
});

describe("a layered map", () => {
  const labels = [
    { value: 1, layer: 0 },
    { value: 4, layer: 4 },
  ];

  it("takes the patch of each layer to a map of its own", async () => {
    const lower = frame(0, [1, 1, 0, 0]);
    const upper = frame(0, [4, 0, 4, 0]);
    new DataView(upper).setUint32(36, 4, true);
    const maps = new LayeredMap([1, 4, 5]);
    for (const bytes of [lower, upper]) {
      const patch = await readPatch(bytes);
      if (!isUncertainty(patch)) maps.of(patch.layer).apply(patch);
    }
    expect(maps.at([0, 1, 2])).toEqual([1, 4]);
    expect(maps.at([0, 2, 2])).toEqual([4]);
    expect(boundsOf(maps.ofLabel(labels, 1), 1)).toEqual({ low: [0, 1, 2], high: [1, 2, 4] });
    maps.clear();
    expect(maps.at([0, 1, 2])).toEqual([]);
  });
});

describe("a label map", () => {
  const box = { low: [0, 1, 1], high: [2, 2, 3] } as const;

  it("knows which labels have voxels, whatever is painted over them", () => {
    const map = new LabelMap([2, 3, 4]);
    expect(map.has(5)).toBe(false);
    map.apply({ box, values: Uint16Array.of(5, 0, 0, 7) });
    expect([5, 7, 6].map((label) => map.has(label))).toEqual([true, true, false]);
    map.apply({ box: { low: [0, 1, 1], high: [1, 2, 2] }, values: Uint16Array.of(6) });
    expect([5, 7, 6].map((label) => map.has(label))).toEqual([false, true, true]);
  });

  it("is empty when it was cleared, and can be painted again", () => {
    const map = new LabelMap([2, 3, 4]);
    map.apply({ box, values: Uint16Array.of(5, 5, 5, 5) });
    map.clear();
    expect(map.values.every((value) => value === 0) && !map.has(5) && map.painted === null).toBe(true);
    map.apply({ box, values: Uint16Array.of(0, 5, 0, 0) });
    expect(map.has(5) && map.at([0, 1, 2]) === 5).toBe(true);
  });
});

describe("a uncertainty frame", () => {
  it("has a byte a voxel", async () => {
    const bytes = new Uint8Array(frame(0, [513, 1027]));
    bytes.set([0x53, 0x47, 0x44, 0x31]);
    const patch = await readPatch(bytes.buffer);
    expect(isUncertainty(patch)).toBe(true);
    expect(Array.from(patch.values)).toEqual([1, 2, 3, 4]);
  });

  it("is no mask", async () => {
    expect(isUncertainty(await readPatch(frame(0, [1, 2, 3, 4])))).toBe(false);
  });
});

describe("a mask as a prompt", () => {
  const map = new LabelMap([2, 3, 10]);
  const values = Uint16Array.of(5, 5, 0, 5, 5, 5, 5, 5, 5, 7);
  map.apply({ box: { low: [1, 1, 0], high: [2, 2, 10] }, values });

  it("is the box round the label", () => {
    expect(boundsOf(map, 5)).toEqual({ low: [1, 1, 0], high: [2, 2, 9] });
    expect(boundsOf(map, 7)).toEqual({ low: [1, 1, 9], high: [2, 2, 10] });
    expect(boundsOf(map, 6)).toBeNull();
    expect(boundsOf(new LabelMap([1, 1, 1]), 5)).toBeNull();
  });

  it("is as wide in a slice as a disc of its area there", () => {
    const disc = new LabelMap([3, 20, 20]);
    const inside = Uint16Array.from({ length: 400 }, (_, i) =>
      Math.hypot((i % 20) - 10, Math.floor(i / 20) - 10) < 6 ? 5 : 7,
    );
    disc.apply({ box: { low: [1, 0, 0], high: [2, 20, 20] }, values: inside });
    expect(widthIn(disc, 5, 0, 1)).toBeCloseTo(12, 0);
    expect(widthIn(disc, 5, 1, 10)).toBeCloseTo(2 * Math.sqrt(11 / Math.PI)); // the line that another plane cuts out of it
    expect(widthIn(disc, 5, 0, 2)).toBeNull();
  });

  it("has the first voxel in the highest bit", () => {
    expect(Array.from(bitsOf(map, 5, { low: [1, 1, 0], high: [2, 2, 9] }))).toEqual([0b11011111, 0b10000000]);
  });

  it("is packed by zlib and written in base 64", async () => {
    const prompt = await maskPrompt(map, 5);
    expect(prompt).toMatchObject({ kind: "mask", low: [1, 1, 0], shape: [1, 1, 9] });
    expect(Array.from(inflateSync(Buffer.from(prompt.bits, "base64")))).toEqual([0b11011111, 0b10000000]);
  });

  it("is one empty voxel where the label has none", async () => {
    const prompt = await maskPrompt(map, 6);
    expect(prompt).toMatchObject({ low: [0, 0, 0], shape: [1, 1, 1] });
    expect(Array.from(inflateSync(Buffer.from(prompt.bits, "base64")))).toEqual([0]);
  });
});
