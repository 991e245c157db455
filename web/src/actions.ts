/**
 * What a person can do, as methods that change the store and talk to the server, sorted by what it is done to.
 *
 * Each part is given the parts that it needs; those further up know nothing of those further down.
 */

import { Adding } from "./actions/adding";
import { Cases } from "./actions/cases";
import { History } from "./actions/history";
import { Images } from "./actions/images";
import { Labels } from "./actions/labels";
import { Marks } from "./actions/marks";
import { Mask } from "./actions/mask";
import { Nudging } from "./actions/nudging";
import { Previews } from "./actions/previews";
import { Reading } from "./actions/reading";
import { Session } from "./actions/session";
import { Slides } from "./actions/slides";
import { Tools } from "./actions/tools";
import { Views } from "./actions/views";
import { Work } from "./actions/work";
import { Worklist } from "./actions/worklist";
import * as api from "./api";
import { fill, phrases } from "./phrases";
import { lastCase } from "./places";
import { type Store, waitingWords } from "./state";
import { reportErrors, toast } from "./toasts";

const SAY = phrases.actions;

const ASK_MS = 500; // between two questions whether the server is ready

export class Actions {
  readonly worklist: Worklist;
  readonly session: Session;
  readonly images: Images;
  readonly views: Views;
  readonly tools: Tools;
  readonly cases: Cases;
  readonly work: Work;
  readonly previews: Previews;
  readonly reading: Reading;
  readonly marks: Marks;
  readonly nudging: Nudging;
  readonly labels: Labels;
  readonly slides: Slides;
  readonly history: History;
  readonly adding: Adding;
  #asking = false; // whether the server is ready

  constructor(readonly store: Store) {
    this.worklist = new Worklist(store);
    this.session = new Session(store, this.worklist, new Mask(store));
    this.images = new Images(store, this.session);
    this.views = new Views(store, this.images);
    this.tools = new Tools(store);
    this.cases = new Cases(store, this.worklist, this.session, this.images, this.views);
    this.work = new Work(store, this.worklist, this.session, this.cases);
    this.previews = new Previews(store, this.session, this.views, this.work);
    this.reading = new Reading(store, this.worklist, this.session, this.cases, this.work, this.previews);
    this.marks = new Marks(store, this.session, this.views, this.work, this.previews);
    this.nudging = new Nudging(store, this.previews, this.marks);
    this.labels = new Labels(store, this.session, this.work, this.marks);
    this.slides = new Slides(store, this.session, this.views, this.cases, this.work, this.marks);
    this.history = new History(store, this.session, this.work, this.slides);
    this.adding = new Adding(store, this.worklist, this.cases);
  }

  /** Fetch the lists that the page starts from; a case may be opened meanwhile. */
  start(): Promise<void> {
    const started = this.#fetchLists();
    this.cases.ready = started;
    return started;
  }

  async #fetchLists(): Promise<void> {
    const last = lastCase();
    const left = last === null ? null : api.oneCase(last).catch(() => null); // it may be gone
    const asked = [api.methods(), api.formats(), api.me(), this.worklist.refresh()] as const;
    const [methods, formats, me] = await Promise.all(asked);
    this.store.set({ methods, formats, me, left: await left });
    reportErrors(() => this.#tellLeft());
  }

  /** Tell of marks that closed tabs have left, of cases that are not open here. */
  async #tellLeft(): Promise<void> {
    for (const { session, case: id, events } of await this.session.unsent.left()) {
      const known = await this.worklist.caseIfThere(id);
      if (known === null) {
        await this.session.unsent.forget(session);
        toast(fill(SAY.leftGone, { waiting: waitingWords(events) }), "error", {});
        continue;
      }
      const open = (): void => {
        reportErrors(() => this.cases.open(id));
      };
      const words = fill(SAY.leftIn, { waiting: waitingWords(events), name: known.name });
      toast(words, "error", { words: SAY.openIt, act: open });
    }
  }

  /** True when closing the page would lose something. */
  get unsafe(): boolean {
    return this.store.state.unsent.length > 0 && !this.session.unsent.safe;
  }

  /** Ask until the server's method is loaded; meanwhile the page works, but answers come late. */
  async awaitReady(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (;;) {
        const { ready } = await api.health();
        this.store.set({ warming: !ready });
        if (ready) return;
        await new Promise((resolve) => setTimeout(resolve, ASK_MS));
      }
    } catch {
      this.store.set({ warming: false }); // the banner says that the connection is lost; it is asked again after that
    } finally {
      this.#asking = false;
    }
  }
}
