/**
 * Steps of what is measured by hand, among those of the session: undo takes back whatever was done last.
 *
 * The session's log never gets shorter, so how long it was says what came before a step and what after it. Steps are
 * this page's own; what was measured before it was loaded stays.
 */

import type { Ruler } from "./rulers";

interface Step {
  readonly before: readonly Ruler[];
  readonly after: readonly Ruler[];
  readonly at: number; // how long the session's log was, with what was on its way
}

export class RulerSteps {
  #done: Step[] = [];
  #undone: Step[] = []; // what redo brings back, the next one last

  /** Note a step, taken when the log was so long. */
  add(before: readonly Ruler[], after: readonly Ruler[], at: number): void {
    this.#done.push({ before, after, at });
    this.#undone = [];
  }

  /** Forget what redo would bring back: something else was done. */
  goOn(): void {
    this.#undone = [];
  }

  forget(): void {
    this.#done = [];
    this.#undone = [];
  }

  /** Say whether undo takes a step of these back, `last` being the place of the session's own last step; -1 without one. */
  isLast(last: number): boolean {
    const step = this.#done.at(-1);
    return step !== undefined && step.at > last;
  }

  /** Say whether redo brings a step of these back, `next` being the place of what it would bring back of the session. */
  isNext(next: number | undefined): boolean {
    const step = this.#undone.at(-1);
    return step !== undefined && (next === undefined || step.at <= next);
  }

  /** Say whether the session's last undone step was undone before a step of these was made, so that it stays undone. */
  isNewer(undoneAt: number): boolean {
    const step = this.#done.at(-1);
    return step !== undefined && step.at > undoneAt;
  }

  /** Take the last step back; returns what is measured then. */
  undo(): readonly Ruler[] | null {
    const step = this.#done.pop();
    if (step === undefined) return null;
    this.#undone.push(step);
    return step.before;
  }

  redo(): readonly Ruler[] | null {
    const step = this.#undone.pop();
    if (step === undefined) return null;
    this.#done.push(step);
    return step.after;
  }
}
