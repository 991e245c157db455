/** Labels are added, changed, ordered, merged and deleted. */

import * as api from "../api";
import { newLabel, nextObject, objectsOf, titleOf } from "../labels";
import { fill, phrases, plural } from "../phrases";
import { freeValue, same } from "../session";
import type { Store } from "../state";
import { toast } from "../toasts";
import type { Marks } from "./marks";
import { whileSending } from "./sending";
import type { Session } from "./session";
import type { Work } from "./work";

const SAY = phrases.actions;

export class Labels {
  constructor(
    private readonly store: Store,
    private readonly session: Session,
    private readonly work: Work,
    private readonly marks: Marks,
  ) {}

  /** Return the labels, with those that the server has not recorded yet. */
  #knownLabels(): readonly api.Label[] {
    const { labels, unsent } = this.store.state;
    return [...labels, ...unsent.flatMap((event) => (event.event === "defined" ? [event.label] : []))];
  }

  /** Return a new label's value, defined without being chosen: for a part that is cut off. */
  defineNext(): number {
    const value = freeValue(this.#knownLabels());
    const { labels, label } = this.store.state;
    const layer = labels.find((one) => one.value === label)?.layer ?? 0; // a part has no voxel of what it was cut from
    this.define({ ...newLabel(value), layer });
    return value;
  }

  add(name?: string): void {
    const value = freeValue(this.#knownLabels());
    this.define(newLabel(value, name));
    this.select(value);
  }

  /** Take another tool's mask as it is: one object becomes the selected label's mask, several get labels of their own. */
  async loadMask(mask: api.Upload): Promise<void> {
    const { opened, label, overwrite, events } = this.store.state;
    if (opened === null || this.work.isFinished()) return;
    const { labels, state } = await whileSending(this.store, fill(SAY.uploading, { what: mask.name }), (sent) =>
      api.loadMask(opened.session, label, mask, overwrite, sent),
    );
    if (this.store.state.opened !== opened) return;
    this.session.own(events.length, state);
    this.select(labels[0]);
    const { name } = mask;
    toast(labels.length === 1 ? fill(SAY.loaded, { name }) : plural(SAY.loadedLabels, labels.length, { name }), "good");
  }

  define(label: api.Label, joined = false): void {
    this.session.send({ event: "defined", label, joined });
  }

  /** Change a label, and with it all objects of its name: one step. */
  defineObjects(label: api.Label, changes: Partial<Omit<api.Label, "value" | "instance">>): void {
    objectsOf(this.store.state.labels, label).forEach((one, i) => {
      this.define({ ...one, ...changes }, i > 0);
    });
  }

  /** Begin another object of the selected label: a label with the same name and the next number. */
  nextObject(): void {
    const known = this.#knownLabels();
    const label = known.filter(({ value }) => value === this.store.state.label).at(-1);
    if (label === undefined || this.work.isFinished()) return;
    const { first, next } = nextObject(known, label, freeValue(known));
    if (first !== label) this.define(first);
    this.define(next, first !== label);
    this.select(next.value);
    toast(fill(SAY.objectBegun, { name: titleOf(next) }), "good");
  }

  /** Let a label share voxels with others, or not: it has a layer of its own then. */
  setOverlap(label: api.Label, overlap: boolean): void {
    this.defineObjects(label, { layer: overlap ? label.value : 0 });
  }

  /** Delete a label with its mask and its marks; one stays, to be marked. */
  delete(value: number): void {
    const { labels } = this.store.state;
    const label = labels.find((one) => one.value === value);
    if (label === undefined || this.work.isFinished()) return;
    if (label.locked) toast(fill(SAY.lockedDelete, { name: label.name }), "error");
    else if (labels.length === 1) toast(SAY.onlyLabel, "error");
    else {
      this.session.send({ event: "deleted", label: value, joined: false });
      toast(fill(SAY.labelDeleted, { name: label.name }), "good");
    }
  }

  /** Make another label's mask a part of the selected one's, and delete that label: one step. */
  merge(other: number): void {
    const { labels, label } = this.store.state;
    const locked = labels.find(({ value, locked }) => locked && (value === other || value === label));
    if (this.work.isFinished() || !labels.some(({ value }) => value === other) || other === label) return;
    if (locked !== undefined) {
      toast(fill(SAY.lockedMerge, { name: locked.name }), "error");
      return;
    }
    const layers = new Set(labels.filter(({ value }) => value === other || value === label).map(({ layer }) => layer));
    if (layers.size === 1) this.marks.edit({ kind: "merge", other });
    else {
      const edit = { kind: "combine", operation: "union", other, margin_mm: 0 } as const;
      this.session.send({ event: "edited", edit, label, overwrite: this.store.state.overwrite, joined: false });
      this.session.send({ event: "deleted", label: other, joined: true });
    }
  }

  /** Put a label before another one in the list, or at its end. */
  order(value: number, before: number | null): void {
    const order = this.store.state.labels.map((label) => label.value);
    const others = order.filter((one) => one !== value);
    const at = before === null ? others.length : others.indexOf(before);
    if (at < 0 || !order.includes(value) || this.work.isFinished()) return;
    const labels = [...others.slice(0, at), value, ...others.slice(at)];
    if (!same(labels, order)) this.session.send({ event: "ordered", labels });
  }

  /** Move a label up or down in the list. */
  move(value: number, by: 1 | -1): void {
    const { labels } = this.store.state;
    const at = labels.findIndex((label) => label.value === value);
    if (at < 0 || at + by < 0 || at + by >= labels.length) return;
    this.order(value, labels.at(by < 0 ? at - 1 : at + 2)?.value ?? null);
  }

  /** Define labels that this case does not have yet, as a template has them. */
  addAll(wanted: readonly api.TemplateLabel[]): void {
    let known = this.#knownLabels();
    const missing = wanted.filter(({ name }) => !known.some((label) => label.name === name));
    missing.forEach(({ name, colour, codes, overlaps }, i) => {
      const value = freeValue(known);
      const label = { ...newLabel(value, name), colour, codes: codes ?? null, layer: overlaps ? value : 0 };
      known = [...known, label];
      this.session.send({ event: "defined", label, joined: i > 0 });
    });
  }

  /** Hide a label's mask and marks in this page, or show them again. */
  hide(value: number): void {
    const { hidden } = this.store.state;
    this.store.set({ hidden: hidden.includes(value) ? hidden.filter((one) => one !== value) : [...hidden, value] });
  }

  /** Marks go to this label from now on; a new object starts with positive marks. */
  select(value: number): void {
    this.store.set({ label: value, positive: true });
  }
}
