/** The mask being shown: one label value a voxel, changed in place, box by box. */

import { type Box, type Index, union } from "./geometry";
import type { MaskPatch } from "./wire";

export class LabelMap {
  readonly values: Uint16Array;
  /** Everything outside has never been painted. */
  painted: Box | null = null;

  constructor(readonly shape: Index) {
    this.values = new Uint16Array(shape[0] * shape[1] * shape[2]);
  }

  /** Write a patch; only its box is touched. */
  apply({ box, values }: MaskPatch): void {
    const [, rows, columns] = this.shape;
    const { low, high } = box;
    const width = high[2] - low[2];
    if (values.length === 0) return;
    let from = 0;
    for (let z = low[0]; z < high[0]; z++) {
      for (let y = low[1]; y < high[1]; y++) {
        this.values.set(values.subarray(from, from + width), (z * rows + y) * columns + low[2]);
        from += width;
      }
    }
    this.painted = union(this.painted, box);
  }

  clear(): void {
    this.values.fill(0);
    this.painted = null;
  }

  at([z, y, x]: Index): number {
    return this.values[(z * this.shape[1] + y) * this.shape[2] + x];
  }
}
