/** The masks of the open case as the server sends them, and where it is uncertain of them. */

import type { Box } from "../geometry";
import { UncertaintyMap } from "../labelmap";
import type { Opened, Store } from "../state";
import type { UncertaintyPatch, MaskPatch } from "../wire";

export class Mask {
  changes = { gained: 0, lost: 0 }; // voxels of the label that an edit under way changes

  constructor(private readonly store: Store) {}

  paint(opened: Opened, patch: MaskPatch): void {
    if (this.store.state.opened !== opened || patch.values.length === 0) return;
    this.#count(opened, patch);
    opened.maps.of(patch.layer).apply(patch);
    this.changed(patch.box);
  }

  /** Count what an edit changes of its label, before it is shown. */
  #count(opened: Opened, { position, box, values, layer }: MaskPatch): void {
    const event = this.store.state.events.at(position);
    if (event?.event !== "edited") return;
    const map = opened.maps.of(layer);
    const [, rows, columns] = map.shape;
    let at = 0;
    for (let z = box.low[0]; z < box.high[0]; z++) {
      for (let y = box.low[1]; y < box.high[1]; y++) {
        const row = (z * rows + y) * columns;
        for (let x = box.low[2]; x < box.high[2]; x++, at++) {
          const was = map.values[row + x] === event.label;
          const now = values[at] === event.label;
          if (now && !was) this.changes.gained += 1;
          if (was && !now) this.changes.lost += 1;
        }
      }
    }
  }

  uncertainty(opened: Opened, patch: UncertaintyPatch): void {
    if (this.store.state.opened !== opened) return;
    if (this.store.state.uncertaintyOf !== patch.position) this.forgetUncertainty(opened); // that of an earlier answer
    opened.uncertainty ??= new UncertaintyMap(opened.maps.shape);
    opened.uncertainty.apply(patch);
    this.store.set({ uncertaintyVersion: this.store.state.uncertaintyVersion + 1, uncertaintyOf: patch.position });
  }

  forgetUncertainty(opened: Opened | null): void {
    opened?.uncertainty?.clear();
    this.store.set({
      uncertaintyVersion: this.store.state.uncertaintyVersion + 1,
      uncertaintyOf: null,
      uncertainPlace: null,
      ring: null,
    });
  }

  changed(box: Box | null): void {
    this.store.set({ maskVersion: this.store.state.maskVersion + 1, maskChange: box });
  }
}
