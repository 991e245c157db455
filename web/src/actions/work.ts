/** How far cases are: the next one, done or rejected, begun again. */

import * as api from "../api";
import { whyFinished } from "../finished";
import { fill, phrases } from "../phrases";
import type { Store } from "../state";
import { reportErrors, toast } from "../toasts";
import type { Cases } from "./cases";
import type { Session } from "./session";
import type { Worklist } from "./worklist";

const SAY = phrases.actions;

export class Work {
  #finishing = false; // a case: pressing a key twice finishes one

  constructor(
    private readonly store: Store,
    private readonly worklist: Worklist,
    private readonly session: Session,
    private readonly cases: Cases,
  ) {}

  /** Open the next case of the list, or the one before. */
  async openNext(back = false): Promise<void> {
    const id = this.store.state.opened?.case.id;
    if (id === undefined) {
      const first = this.worklist.list.rows.value.get(0);
      if (first !== undefined) await this.cases.open(first.id);
      return;
    }
    const next = await this.worklist.list.next(id, { back });
    if (next === null) toast(back ? SAY.firstCase : SAY.lastCase);
    else await this.cases.open(next.id);
  }

  /** Say that the open case is done or rejected, and go on to the next one that is to be worked on. */
  async finish(status: api.Verdict, comment: string): Promise<void> {
    const { opened, unsent } = this.store.state;
    if (opened === null || this.#finishing) return;
    if (unsent.length > 0) throw new Error(SAY.notSaved);
    this.#finishing = true;
    try {
      const id = opened.case.id;
      const next = await this.worklist.list.next(id, { open: true });
      const changed = await api.setStatus(id, status, comment);
      this.worklist.adopt(changed);
      const said = { done: SAY.isDone, rejected: SAY.isRejected, accepted: SAY.isAccepted }[status];
      toast(fill(said, { name: changed.name }), "good");
      if (next === null) toast(SAY.nothingLeft);
      else if (this.store.state.opened === opened) await this.cases.open(next.id);
      await this.worklist.refresh(next?.id);
    } finally {
      this.#finishing = false;
    }
  }

  /** Let a case that was done or rejected be changed again. */
  async reopen(): Promise<void> {
    const { work } = this.store.state;
    if (work === null) return;
    this.worklist.adopt(await api.setStatus(work.id, "open", work.comment));
    await this.worklist.refresh();
  }

  /** Ask how far the open case is: its first mark began it, and marks take time. */
  async update(): Promise<void> {
    const { work } = this.store.state;
    if (work === null) return;
    const before = work.status;
    const changed = await this.worklist.caseIfThere(work.id);
    if (changed === null) return; // its connection says that it was deleted
    this.worklist.adopt(changed);
    if (changed.status !== before) await this.worklist.refresh();
  }

  /** Tell why the open case may not be changed now; false where it may. */
  isFinished(): boolean {
    const { opened, image } = this.store.state;
    const why = whyFinished(this.store.state);
    if (why === null) return false;
    const open = (): void => {
      reportErrors(() => this.cases.openTime(image));
    };
    toast(why, "error", opened?.case.timed === true ? { words: SAY.openTime, act: open } : undefined);
    return true;
  }

  /** Ask the method that the project trusts for first masks of the labels that have no marks. */
  async firstMasks(): Promise<void> {
    const { opened, events } = this.store.state;
    if (opened === null || this.isFinished()) return;
    const state = await api.firstMasks(opened.session);
    if (this.store.state.opened === opened) this.session.own(events.length, state);
  }
}
