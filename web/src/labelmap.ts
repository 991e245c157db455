/** What is shown over the voxels, changed in place, box by box: the mask's label values, and the method's uncertainty. */

import { type Box, type Index, union } from "./geometry";

class BoxedMap<Values extends Uint16Array | Uint8Array> {
  /** Everything outside has never been painted. */
  painted: Box | null = null;

  constructor(
    readonly shape: Index,
    readonly values: Values,
  ) {}

  /** Write the values of a box; nothing else is touched. */
  apply({ box, values }: { readonly box: Box; readonly values: Values }): void {
    if (values.length === 0) return;
    const width = box.high[2] - box.low[2];
    let from = 0;
    for (const start of this.rowsOf(box)) {
      this.values.set(values.subarray(from, from + width), start);
      from += width;
    }
    this.painted = union(this.painted, box);
  }

  clear(): void {
    if (this.painted === null) return;
    const width = this.painted.high[2] - this.painted.low[2];
    for (const start of this.rowsOf(this.painted)) this.values.fill(0, start, start + width);
    this.painted = null;
  }

  /** Yield where the rows of a box begin. */
  protected *rowsOf({ low, high }: Box): Generator<number, void> {
    const [, rows, columns] = this.shape;
    for (let z = low[0]; z < high[0]; z++) {
      for (let y = low[1]; y < high[1]; y++) yield (z * rows + y) * columns + low[2];
    }
  }

  at([z, y, x]: Index): number {
    return this.values[(z * this.shape[1] + y) * this.shape[2] + x];
  }
}

const voxels = ([z, y, x]: Index): number => z * y * x;

/** One label value a voxel. */
export class LabelMap extends BoxedMap<Uint16Array> {
  readonly #counts = new Int32Array(1 << 16); // voxels by label, so that nobody goes through the map to find one

  constructor(shape: Index) {
    super(shape, new Uint16Array(voxels(shape)));
  }

  override apply(patch: { readonly box: Box; readonly values: Uint16Array }): void {
    const { box, values } = patch;
    const width = box.high[2] - box.low[2];
    let from = 0;
    for (const start of values.length === 0 ? [] : this.rowsOf(box)) {
      for (let at = start; at < start + width; at++, from++) {
        if (this.values[at] === values[from]) continue;
        this.#counts[this.values[at]] -= 1;
        this.#counts[values[from]] += 1;
      }
    }
    super.apply(patch);
  }

  override clear(): void {
    super.clear();
    this.#counts.fill(0);
  }

  /** Say whether a label has voxels. */
  has(label: number): boolean {
    return this.#counts[label] > 0;
  }
}

/** The label maps of a session by layer: labels of one layer share no voxel, those of two may. */
export class LayeredMap {
  readonly #maps = new Map<number, LabelMap>();

  constructor(readonly shape: Index) {}

  /** Return the map of a layer, an empty one where nothing was painted on it yet. */
  of(layer: number): LabelMap {
    let map = this.#maps.get(layer);
    if (map === undefined) this.#maps.set(layer, (map = new LabelMap(this.shape)));
    return map;
  }

  /** Return the map that a label's mask is in. */
  ofLabel(labels: readonly { readonly value: number; readonly layer?: number }[], label: number): LabelMap {
    return this.of(labels.find(({ value }) => value === label)?.layer ?? 0);
  }

  /** Return the labels at a voxel, those of the lowest layer first. */
  at(index: Index): readonly number[] {
    const layers = [...this.#maps.keys()].sort((a, b) => a - b);
    return layers.map((layer) => this.of(layer).at(index)).filter((label) => label !== 0);
  }

  clear(): void {
    for (const map of this.#maps.values()) map.clear();
  }
}

/** One uncertainty a voxel, 0 (sure) to 255. */
export class UncertaintyMap extends BoxedMap<Uint8Array> {
  constructor(shape: Index) {
    super(shape, new Uint8Array(voxels(shape)));
  }
}
