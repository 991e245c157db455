/** Steps are taken back and done again, those of rulers among them. */

import type { Event } from "../api";
import { phrases } from "../phrases";
import type { Ruler } from "../rulers";
import { stepBack } from "../session";
import type { Store } from "../state";
import { reportErrors, toast } from "../toasts";
import type { Session } from "./session";
import type { Slides } from "./slides";
import type { Work } from "./work";

const SAY = phrases.actions;

const lastUndo = (events: readonly Event[]): number => events.map(({ event }) => event).lastIndexOf("undone");

export class History {
  constructor(
    private readonly store: Store,
    private readonly session: Session,
    private readonly work: Work,
    private readonly slides: Slides,
  ) {}

  /** Take back this page's own last step, measured or marked; what others did meanwhile stays. */
  undo(): void {
    if (this.session.rulerSteps.isLast(this.#lastOwn())) {
      this.store.set({ rulers: this.session.rulerSteps.undo() ?? [], leg: null });
      return;
    }
    if (!this.#canUndoHere() && this.slides.markedBefore() !== null) {
      reportErrors(() => this.#undoElsewhere());
      return;
    }
    if (!this.canUndo() || this.work.isFinished()) return;
    const { events, done } = this.store.state;
    const step = stepBack(events, done, this.session.others, this.session.takenBack);
    if (step === null) {
      toast(SAY.othersSteps);
      return;
    }
    if (step.event === "removed") {
      this.session.takenBack.add(step.of);
      toast(SAY.ownTakenBack);
    }
    this.session.send(step);
  }

  /** Go back to where a slide was marked before, and take back the last step there. */
  async #undoElsewhere(): Promise<void> {
    if (!(await this.slides.goToMarked())) return;
    toast(SAY.undoneElsewhere);
    this.undo();
  }

  redo(): void {
    const { undone, events } = this.store.state;
    const next = undone.at(-1);
    if (this.session.rulerSteps.isNext(next)) {
      this.store.set({ rulers: this.session.rulerSteps.redo() ?? [] });
      return;
    }
    if (next === undefined || this.session.rulerSteps.isNewer(lastUndo(events)) || this.work.isFinished()) return;
    if (this.session.others.has(next)) toast(SAY.othersUndo);
    else this.session.send({ event: "redone" });
  }

  /** The labels that a session begins with stay: without one nothing can be marked. */
  canUndo(): boolean {
    return this.#canUndoHere() || this.slides.markedBefore() !== null;
  }

  #canUndoHere(): boolean {
    return this.store.state.done.length > this.session.begun() || this.session.rulerSteps.isLast(this.#lastOwn());
  }

  canRedo(): boolean {
    const { undone, events } = this.store.state;
    const next = undone.at(-1);
    if (this.session.rulerSteps.isNext(next)) return true;
    return next !== undefined && !this.session.rulerSteps.isNewer(lastUndo(events));
  }

  /** Return the place of this page's own last step in the log, -1 where there is none but the first labels. */
  #lastOwn(): number {
    const { events, done, unsent } = this.store.state;
    const waiting = unsent.map(({ event }) => event !== "undone" && event !== "redone").lastIndexOf(true);
    if (waiting >= 0) return events.length + waiting;
    const own = done.slice(this.session.begun()).filter((position) => !this.session.others.has(position));
    return own.at(-1) ?? -1;
  }

  addRuler(ruler: Ruler): void {
    this.#setRulers([...this.store.state.rulers, ruler]);
    this.store.set({ measuresShown: true });
  }

  removeRuler(ruler: Ruler): void {
    this.#setRulers(this.store.state.rulers.filter((one) => one !== ruler));
  }

  #setRulers(rulers: readonly Ruler[]): void {
    const { rulers: before, events, unsent } = this.store.state;
    this.session.rulerSteps.add(before, rulers, events.length + unsent.length);
    this.store.set({ rulers });
  }
}
