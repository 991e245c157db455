/** Cases that several read, and the mask that decides. */

import * as api from "../api";
import { phrases } from "../phrases";
import { may } from "../rights";
import type { Store } from "../state";
import { reportErrors, toast } from "../toasts";
import type { MaskPatch } from "../wire";
import type { Cases } from "./cases";
import type { Previews } from "./previews";
import type { Session } from "./session";
import type { Work } from "./work";
import type { Worklist } from "./worklist";

const SAY = phrases.actions;

export class Reading {
  constructor(
    private readonly store: Store,
    private readonly worklist: Worklist,
    private readonly session: Session,
    private readonly cases: Cases,
    private readonly work: Work,
    private readonly previews: Previews,
  ) {}

  /** Open the next case that is to be read, which is this person's from then on. */
  async readNext(): Promise<void> {
    const { me } = this.store.state;
    const shown = this.worklist.list.query.value.project;
    const projects = shown !== "" ? [shown] : (await api.projects()).map(({ name }) => name);
    for (const project of projects.filter((one) => may(me, "annotator", one))) {
      const next = await api.pull(project);
      if (next !== null) {
        await this.cases.open(next.id);
        await this.worklist.refresh(next.id);
        return;
      }
    }
    toast(SAY.nothingToRead);
  }

  /** Begin the mask that decides, as a reader has it or with what all of them agree on. */
  async beginDecision(reader: string | null): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    await api.adjudicate(opened.case.id, reader);
    await this.cases.open(opened.case.id);
  }

  /** Show in two colours where a reader has the selected label and the mask that decides has not, and the reverse. */
  async showReader(reader: string): Promise<void> {
    const { label } = this.store.state;
    const take = (): void => {
      reportErrors(() => this.takeReader(reader));
    };
    const ask = (session: string): Promise<MaskPatch> => api.readerDifference(session, reader, label);
    await this.previews.look(null, reader, label, take, ask, true);
  }

  /** Take the selected label over as a reader has it, in one slice or in all. */
  async takeReader(reader: string, slice?: number): Promise<void> {
    const { opened, label, events } = this.store.state;
    if (opened === null || this.work.isFinished()) return;
    const [low, high] = slice === undefined ? [0, opened.volume.shape[0]] : [slice, slice + 1];
    const { state } = await api.take(opened.session, reader, label, low, high);
    if (this.store.state.opened === opened) this.session.own(events.length, state);
  }
}
