import { describe, expect, it } from "vitest";
import { emptyVolume, fromQuaternion, joined, partOf, putSlices, readHeader, valueAt, type Volume } from "../src/nifti";

interface Header {
  datatype?: number;
  sform?: number[] | null;
  qform?: { quaternion: number[]; offset: number[]; handed: number } | null;
  slope?: number;
  bytes: Uint8Array;
}

/** A NIfTI-1 file of 2 x 3 x 4 voxels (x, y, z) with spacing 0.5, 1, 2. */
function nifti({ datatype = 2, sform = null, qform = null, slope = 0, bytes }: Header): ArrayBuffer {
  const file = new Uint8Array(352 + bytes.length);
  const view = new DataView(file.buffer);
  view.setInt32(0, 348, true);
  [3, 2, 3, 4, 1].forEach((value, i) => {
    view.setInt16(40 + 2 * i, value, true);
  });
  view.setInt16(70, datatype, true);
  [qform?.handed ?? 1, 0.5, 1, 2].forEach((value, i) => {
    view.setFloat32(76 + 4 * i, value, true);
  });
  view.setFloat32(108, 352, true);
  view.setFloat32(112, slope, true);
  view.setFloat32(116, slope ? 3 : 0, true);
  if (qform) {
    view.setInt16(252, 1, true);
    [...qform.quaternion, ...qform.offset].forEach((value, i) => {
      view.setFloat32(256 + 4 * i, value, true);
    });
  }
  if (sform) {
    view.setInt16(254, 1, true);
    sform.forEach((value, i) => {
      view.setFloat32(280 + 4 * i, value, true);
    });
  }
  file.set(bytes, 352);
  return file.buffer;
}

/** Return the volume in a file, all slices at once. */
function readVolume(file: ArrayBuffer): Volume {
  const header = readHeader(file);
  const volume = emptyVolume(header);
  putSlices(volume, header, [0, header.shape[0]], file.slice(header.offset));
  return volume;
}

const BYTES = Uint8Array.from({ length: 24 }, (_, i) => i);

describe("a NIfTI file", () => {
  it("is (z, y, x) with the affine's columns turned", () => {
    const volume = readVolume(nifti({ bytes: BYTES, sform: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] }));
    expect(volume.shape).toEqual([4, 3, 2]);
    expect(volume.affine).toEqual([
      [3, 2, 1, 4],
      [7, 6, 5, 8],
      [11, 10, 9, 12],
    ]);
    expect(valueAt(volume, [3, 2, 1])).toEqual([23]);
    expect(valueAt(volume, [1, 0, 1])).toEqual([7]);
  });

  it("has the quaternion's affine when there is no other", () => {
    const half = Math.SQRT1_2; // a quarter turn about S: x runs to A, y to L
    const volume = readVolume(
      nifti({ bytes: BYTES, qform: { quaternion: [0, 0, half], offset: [7, 8, 9], handed: -1 } }),
    );
    const rounded = volume.affine.map((row) => row.map((value) => Math.round(value * 1e5) / 1e5 + 0));
    expect(rounded).toEqual([
      [0, -1, 0, 7],
      [0, 0, 0.5, 8],
      [-2, 0, 0, 9],
    ]);
  });

  it("has its spacing when there is no affine at all", () => {
    expect(readVolume(nifti({ bytes: BYTES })).affine).toEqual([
      [0, 0, 0.5, 0],
      [0, 1, 0, 0],
      [2, 0, 0, 0],
    ]);
  });

  it("may scale its numbers", () => {
    expect(valueAt(readVolume(nifti({ bytes: BYTES, slope: 2 })), [0, 0, 1])).toEqual([5]);
  });

  it("may be in colour", () => {
    const volume = readVolume(nifti({ datatype: 128, bytes: Uint8Array.from({ length: 72 }, (_, i) => i) }));
    expect(volume.rgb).toBe(true);
    expect(valueAt(volume, [0, 0, 1])).toEqual([3, 4, 5]);
  });

  it("is refused when it is damaged, cut short or of an unknown kind", () => {
    expect(() => readVolume(new ArrayBuffer(10))).toThrow("arrived damaged");
    expect(() => readVolume(nifti({ bytes: BYTES.subarray(1) }))).toThrow("arrived damaged");
    expect(() => readVolume(nifti({ bytes: BYTES, datatype: 1536 }))).toThrow("(1536)");
  });

  it("may come slice by slice", () => {
    const file = nifti({ datatype: 4, bytes: Uint8Array.from({ length: 48 }, (_, i) => i) });
    const header = readHeader(file.slice(0, 352));
    const volume = emptyVolume(header);
    putSlices(volume, header, [2, 3], file.slice(352 + 24, 352 + 36));
    expect(partOf(volume)).toBe(0.25);
    expect(valueAt(volume, [2, 0, 0])).toEqual([24 + 256 * 25]);
    expect([...volume.arrived]).toEqual([0, 0, 1, 0]);
    expect(() => {
      putSlices(volume, header, [0, 2], new ArrayBuffer(12));
    }).toThrow("arrived damaged");
  });

  it("is whole numbers of 64 bits as doubles", () => {
    const file = nifti({
      datatype: 1024,
      bytes: new Uint8Array(BigInt64Array.from({ length: 24 }, (_, i) => BigInt(-i)).buffer),
    });
    expect(valueAt(readVolume(file), [3, 2, 1])).toEqual([-23]);
  });

  it("is put together again from the bytes of its numbers", () => {
    const packed = Uint8Array.of(1, 2, 3, 0, 1, 255);
    expect([...new Int16Array(joined(packed, 2))]).toEqual([1, 258, -253]);
    expect([...new Uint8Array(joined(packed.subarray(1), 1))]).toEqual([2, 3, 0, 1, 255]);
  });

  it("knows that a quaternion of zero is no turn", () => {
    expect(fromQuaternion([0, 0, 0], [0, 0, 0], [1, 2, 3], 1).map((row) => [...row])).toEqual([
      [0, 0, 1, 0],
      [0, 2, 0, 0],
      [3, 0, 0, 0],
    ]);
  });
});
