/** The whole mask becomes larger or smaller, seen while a slider moves. */

import * as api from "../api";
import { changeOf } from "../change";
import { fill, phrases } from "../phrases";
import type { Store } from "../state";
import { toast } from "../toasts";
import type { Marks } from "./marks";
import type { Previews } from "./previews";

const SAY = phrases.actions;

export class Nudging {
  #nudge: number | null = null; // that the server is to be asked about next
  #nudging = false; // it is being asked
  #nudged = false; // the slider was released meanwhile

  constructor(
    private readonly store: Store,
    private readonly previews: Previews,
    private readonly marks: Marks,
  ) {}

  /** Nudge the whole mask: by 0.2 it becomes a fifth larger, by -0.2 a fifth smaller than it is. */
  nudge(larger: number): void {
    this.#endNudge();
    const { opened, labels, label } = this.store.state;
    if (larger === 0 || opened === null) return;
    const name = labels.find(({ value }) => value === label)?.name ?? SAY.thisLabel;
    if (opened.maps.ofLabel(labels, label).has(label)) this.marks.place({ kind: "adjust", k: larger, of: "mask" });
    else toast(fill(SAY.noMask, { name }));
  }

  /** Show what a nudge would make of the mask, while its slider moves: one question to the server at a time. */
  showNudge(larger: number): void {
    this.#nudge = larger;
    if (!this.#nudging) this.#followNudge().catch(() => undefined); // what is wrong is said when the slider is released
  }

  async #followNudge(): Promise<void> {
    this.#nudging = true;
    try {
      for (let larger = this.#nudge; larger !== null; larger = this.#nudge) {
        const { opened, label, labels, method, finetune, overwrite, events } = this.store.state;
        this.#nudge = null;
        const known = labels.find(({ value }) => value === label);
        if (opened === null || known === undefined || known.locked) return;
        if (!opened.maps.ofLabel(labels, label).has(label)) return;
        const prompt = { kind: "adjust", k: larger, of: "mask" } as const;
        const event = { event: "prompted", prompt, label, method, finetune, overwrite, joined: false } as const;
        const title = SAY.nudged;
        const patch = larger === 0 ? null : await api.preview(opened.session, event);
        if (this.store.state.opened !== opened || this.store.state.events !== events || this.#nudged) return;
        if (patch === null) this.previews.drop();
        else
          this.store.set({
            robot: null,
            preview: { event, title, change: changeOf(opened.maps.of(patch.layer), patch, label), take: null },
          });
      }
    } finally {
      this.#nudging = false;
      this.#nudged = false;
    }
  }

  /** Forget what the slider showed: it was released. */
  #endNudge(): void {
    this.#nudge = null;
    this.#nudged = this.#nudging;
    this.previews.drop();
  }
}
