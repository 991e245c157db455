/** Marks and edits of the selected label, and slices that they leave alone. */

import * as api from "../api";
import { maskPrompt } from "../bits";
import { copyOf } from "../edits";
import type { Plane } from "../geometry";
import { turnedOver } from "../handles";
import { isLocked, lockedUnder } from "../locks";
import { fill, nameOfPrompt, phrases } from "../phrases";
import { reachOf } from "../reach";
import { same } from "../session";
import { activePlane, cursorOf, type Store } from "../state";
import { toast } from "../toasts";
import type { Previews } from "./previews";
import type { Session } from "./session";
import type { Views } from "./views";
import type { Work } from "./work";

const SAY = phrases.actions;

export class Marks {
  constructor(
    private readonly store: Store,
    private readonly session: Session,
    private readonly views: Views,
    private readonly work: Work,
    private readonly previews: Previews,
  ) {}

  /** Put down a prompt on the selected label; a message says why when that cannot be. */
  place(prompt: api.Prompt): void {
    const { labels, label, methods, method, finetune, overwrite, reach, reachMm } = this.store.state;
    const target = labels.find(({ value }) => value === label);
    const card = methods.find(({ id }) => id === method);
    if (this.work.isFinished()) return;
    if (target === undefined) toast(SAY.labelFirstMark, "error");
    else if (target.locked) toast(fill(SAY.lockedChange, { name: target.name }), "error");
    else if (card === undefined) toast(SAY.noMethod, "error");
    else if (!card.prompts.includes(prompt.kind))
      toast(fill(SAY.takesNo, { method: card.title, prompt: nameOfPrompt(prompt.kind) }), "error");
    else if (!this.#isLocked(prompt)) {
      const far = reachOf(reach, reachMm, activePlane(this.store.state)?.normal ?? 0, prompt);
      const said = far === null ? {} : { reach: far }; // as the server writes it down
      this.previews.make({ event: "prompted", prompt, label, method, finetune, overwrite, joined: false, ...said });
    }
  }

  /** Edit the selected label's mask by hand or by rule, `joined` to the event before; a message says why it cannot be. */
  edit(edit: api.Edit, joined = false): void {
    const { labels, label, overwrite } = this.store.state;
    const target = labels.find(({ value }) => value === label);
    if (this.work.isFinished()) return;
    if (target === undefined) toast(SAY.labelFirstEdit, "error");
    else if (target.locked) toast(fill(SAY.lockedChange, { name: target.name }), "error");
    else if (!this.#isLocked(edit)) this.previews.make({ event: "edited", edit, label, overwrite, joined });
  }

  /** Tell that a mark or an edit lies in a locked slice alone; false where it does not. */
  #isLocked(put: api.Prompt | api.Edit): boolean {
    const { opened, locked } = this.store.state;
    const under = lockedUnder(locked, put);
    if (under === null) return false;
    const plane = opened?.planes.find(({ normal }) => normal === under.axis)?.name ?? "axial";
    toast(fill(SAY.sliceLocked, { plane: phrases.planes[plane], n: under.slice + 1 }), "error");
    return true;
  }

  /** Lock a slice of a plane, so that no mask changes in it, or unlock it. */
  lockSlice(plane: Plane | null = activePlane(this.store.state), pane?: string): void {
    const { opened, locked } = this.store.state;
    if (opened === null || plane === null || opened.volume.shape[plane.normal] === 1 || this.work.isFinished()) return;
    const slice = cursorOf(this.store.state, pane)[plane.normal];
    const lock = !isLocked(locked, plane.normal, slice);
    this.session.send({ event: "slices_locked", axis: plane.normal, slices: [slice], locked: lock });
  }

  /** Copy the mask of the slice in view to the next or the one before, and go there. */
  copySlice(by: 1 | -1): void {
    const { opened, crosshair } = this.store.state;
    const plane = activePlane(this.store.state);
    if (opened === null || plane === null) return;
    const edit = copyOf(plane, opened.volume.shape, crosshair, by);
    if (edit === null) {
      toast(SAY.noSlice);
      return;
    }
    this.edit(edit);
    this.views.scroll(plane.normal, by);
  }

  /** Let the method better the selected label's mask as it stands, or make a first one where there is none. */
  async refine(): Promise<void> {
    const { opened, label, labels } = this.store.state;
    if (opened !== null) this.place(await maskPrompt(opened.maps.ofLabel(labels, label), label));
  }

  /** Put a prompt in the place of a mark that was moved or turned over; its label is worked out again. */
  replace(position: number, prompt: api.Prompt): void {
    const { events, labels } = this.store.state;
    const event = events.at(position);
    if (this.work.isFinished() || event?.event !== "prompted" || same(event.prompt, prompt)) return;
    const label = labels.find(({ value }) => value === event.label);
    if (label?.locked) toast(fill(SAY.lockedChange, { name: label.name }), "error");
    else this.session.send({ ...event, prompt, joined: false, replaces: position });
  }

  /** Give a mark the other sign; the one that is pointed at in the list, or under the pointer, where none is named. */
  turnOver(position = this.store.state.hovered ?? this.store.state.touched): void {
    const event = position === null ? undefined : this.store.state.events.at(position);
    const prompt = event?.event === "prompted" ? turnedOver(event.prompt) : null;
    if (position === null || prompt === null) toast(SAY.pointAtMark);
    else this.replace(position, prompt);
  }

  remove(position: number): void {
    if (this.work.isFinished()) return;
    this.session.send({ event: "removed", of: position });
  }
}
