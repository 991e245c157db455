/** Changes that are looked at before they are made, and comparisons. */

import * as api from "../api";
import { maskPrompt } from "../bits";
import { changeOf } from "../change";
import { describeEdit } from "../edits";
import { LabelMap } from "../labelmap";
import { phrases } from "../phrases";
import { watchRobot } from "../robot";
import type { Preview, Store } from "../state";
import { reportErrors } from "../toasts";
import type { MaskPatch } from "../wire";
import type { Session } from "./session";
import type { Views } from "./views";
import type { Work } from "./work";

export class Previews {
  constructor(
    private readonly store: Store,
    private readonly session: Session,
    private readonly views: Views,
    private readonly work: Work,
  ) {}

  /** Make a change, or show it first where that is asked for; paint is seen as it is put down. */
  make(event: api.Prompted | api.Edited): void {
    const painted = event.event === "edited" && (event.edit.kind === "paint" || event.joined);
    if (!this.store.state.previewing || painted) {
      this.session.send(event);
      return;
    }
    const title = event.event === "edited" ? describeEdit(event.edit, this.store.state.labels) : phrases.preview.mark;
    const take = (): void => {
      this.session.send(event);
    };
    reportErrors(() => this.look(event, title, event.label, take, (session) => api.preview(session, event)));
  }

  /** Show where another method's mask of the same marks differs from the selected label's; it may be taken. */
  async compare(method: string): Promise<void> {
    const { opened, label, methods, overwrite, finetune } = this.store.state;
    if (opened === null) return;
    const title = methods.find(({ id }) => id === method)?.title ?? method;
    let patch: MaskPatch | null = null;
    const take = (): void => {
      if (patch === null || this.work.isFinished()) return;
      const other = new LabelMap(opened.maps.shape);
      other.apply(patch);
      reportErrors(async () => {
        const prompt = await maskPrompt(other, label);
        this.session.send({ event: "prompted", prompt, label, method: "given", finetune, overwrite, joined: false });
      });
    };
    await this.look(null, title, label, take, async (session) => (patch = await api.compare(session, label, method)));
  }

  async look(
    event: api.Prompted | api.Edited | null,
    title: string,
    label: number,
    take: () => void,
    ask: (session: string) => Promise<MaskPatch>,
    reader = false,
  ): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const asked: Preview = { event, title, change: null, take: null, reader };
    this.store.set({ preview: asked, robot: null });
    try {
      const patch = await ask(opened.session);
      if (this.store.state.preview !== asked || this.store.state.opened !== opened) return; // dropped meanwhile
      const change = changeOf(opened.maps.of(patch.layer), patch, label);
      this.store.set({ preview: { event, title, change, take, reader } });
    } catch (error) {
      if (this.store.state.preview === asked) this.drop();
      throw error;
    }
  }

  /** Make the change that is shown. */
  take(): void {
    const take = this.store.state.preview?.take ?? null;
    if (take === null) return;
    this.drop();
    take();
  }

  drop(): void {
    this.store.set({ preview: null });
  }

  /** Watch a robot that knows the selected label's mask annotate with the method in use. */
  async watchRobot(): Promise<void> {
    this.drop();
    await watchRobot(this.store, (place) => {
      this.views.setCrosshair(place);
    });
  }
}
