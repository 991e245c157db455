/** What a log of events means: the same folding as the server's `segmend.core.session`, so that nothing waits for it. */

import type { Event, Label } from "./api";
import { type Locked, lockedAfter } from "./locks";

export interface Folded {
  readonly done: readonly number[]; // positions of the events in effect, oldest first
  readonly undone: readonly number[]; // what redo would bring back, the next one last
  readonly labels: readonly Label[];
  readonly locked: Locked;
}

/** Return which events are in effect, and the labels they define. */
export function fold(events: readonly Event[]): Folded {
  const done: number[] = [];
  let undone: number[] = [];
  const joined = (position: number | undefined): boolean => {
    const event = position === undefined ? undefined : events[position];
    return event !== undefined && "joined" in event && event.joined;
  };
  events.forEach((event, position) => {
    if (event.event === "undone") {
      move(done, undone);
      while (joined(undone.at(-1)) && done.length > 0) move(done, undone);
    } else if (event.event === "redone") {
      move(undone, done);
      while (joined(undone.at(-1))) move(undone, done);
    } else {
      done.push(position);
      undone = [];
    }
  });
  let labels = new Map<number, Label>();
  for (const position of done) {
    const event = events[position];
    if (event.event === "defined") labels.set(event.label.value, event.label);
    if (event.event === "ordered") labels = ordered(labels, event.labels);
    const gone = labelGone(event);
    if (gone !== null) labels.delete(gone);
  }
  const locked = lockedAfter(done.map((position) => events[position]));
  return { done, undone, labels: [...labels.values()], locked };
}

/** Return labels in another order; those that are not named come behind, as they were. */
function ordered(labels: ReadonlyMap<number, Label>, order: readonly number[]): Map<number, Label> {
  const named = order.flatMap((value) => {
    const label = labels.get(value);
    return label === undefined ? [] : [[value, label] as const];
  });
  return new Map([...named, ...[...labels].filter(([value]) => !order.includes(value))]);
}

/** Return the label that an event deletes or makes a part of another one, null where it does neither. */
export function labelGone(event: Event): number | null {
  if (event.event === "deleted") return event.label;
  return event.event === "edited" && event.edit.kind === "merge" ? event.edit.other : null;
}

/** Return how many events a session begins with that only say what its labels are: undo leaves those. */
export function opening(events: readonly Event[], done: readonly number[]): number {
  const first = events.at(done.at(0) ?? 0);
  if (first?.event !== "defined") return 0;
  let count = 1;
  while (count < done.length) {
    const event = events[done[count]];
    if (event.event !== "defined" || !event.joined) break;
    count += 1;
  }
  return count;
}

/**
 * Return the event that takes back a person's own last step; null when no step of theirs is left. Alone that is an
 * undo; where `others` have done something since, the mark is taken away and all that came later is worked out again.
 * `takenBack` are marks that were taken away so before.
 */
export function stepBack(
  events: readonly Event[],
  done: readonly number[],
  others: ReadonlySet<number>,
  takenBack: ReadonlySet<number>,
): Event | null {
  const removed = new Set<number>();
  const deleted = new Map<number, number>(); // labels, and when they were deleted last
  for (const position of done) {
    const event = events[position];
    if (event.event === "removed") removed.add(event.of);
    if (event.event === "prompted" && typeof event.replaces === "number") removed.add(event.replaces);
    const gone = labelGone(event);
    if (gone !== null) deleted.set(gone, position);
  }
  for (const [back, position] of [...done].reverse().entries()) {
    const event = events[position];
    if (others.has(position) || (event.event === "removed" && takenBack.has(event.of))) continue;
    if (back === 0) return { event: "undone" };
    const marked = event.event === "prompted" || (event.event === "edited" && labelGone(event) === null);
    if (!marked || removed.has(position) || position < (deleted.get(event.label) ?? -1)) continue;
    return { event: "removed", of: position };
  }
  return null;
}

/** Move the last of some positions to the end of others. */
function move(from: number[], to: number[]): void {
  const last = from.pop();
  if (last !== undefined) to.push(last);
}

/** True when two values read from JSON are the same, whatever the order of their keys. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}

/**
 * Return the messages that the server has not recorded: what was sent before a connection broke may
 * have arrived or not. `recorded` are the events since the last that we knew of, perhaps with others'.
 */
export function unrecorded<T extends { readonly event: Event }>(sent: readonly T[], recorded: readonly Event[]): T[] {
  let from = 0;
  for (const event of recorded) {
    if (from < sent.length && same(sent[from].event, event)) from += 1;
  }
  return sent.slice(from);
}

/** Return the number a new label gets: the lowest that none has. */
export function freeValue(labels: readonly Label[]): number {
  const taken = new Set(labels.map((label) => label.value));
  let value = 1;
  while (taken.has(value)) value += 1;
  return value;
}
