/**
 * Where to look next: the places where the last answer is uncertain, one after the other.
 *
 * The server finds them, by the rule that the library has; here is only which one to ask for, and the sentence about it.
 */

import type { Event } from "./api";
import { type Index, type Plane, pixelOf } from "./geometry";
import type { State, UncertainPlace } from "./state";

/** Return which place comes next; after the last one the first comes again. */
export function nextRank(uncertainPlace: UncertainPlace | null): number {
  return uncertainPlace === null || uncertainPlace.place === null ? 0 : uncertainPlace.rank + 1;
}

export function sentence({ rank, place }: UncertainPlace): string {
  if (place !== null) return rank === 0 ? "Looks uncertain here." : `Looks uncertain here (place ${rank + 1}).`;
  return rank === 0 ? "Nothing looks uncertain." : "Nothing else looks uncertain.";
}

/** The event that last changed masks, as far as it asked for an answer: on which label, by which method. */
export function lastAsked(events: readonly Event[]): { label: number; method: string | null } | null {
  const last = events.filter(({ event }) => event !== "defined").at(-1);
  if (last?.event === "prompted") return { label: last.label, method: last.method };
  if (last?.event !== "removed") return null;
  const of = events.at(last.of);
  return of?.event === "prompted" ? { label: of.label, method: null } : null;
}

type Asking = Pick<
  State,
  "opened" | "events" | "pending" | "unsent" | "uncertaintyOf" | "label" | "labels" | "methods"
> &
  Pick<State, "connection" | "answered">;

/** Return why there is no place to go to now, in a sentence; null when there may be one. */
export function whyNot(state: Asking): string | null {
  const { opened, events, pending, unsent, uncertaintyOf, label, labels, methods, connection, answered } = state;
  if (opened === null) return "Open a case first.";
  if (connection !== "live") return "The connection is lost.";
  if (pending.length + unsent.length > 0) return "An answer is on its way.";
  const asked = lastAsked(events);
  if (uncertaintyOf !== null && asked !== null) {
    if (asked.label === label) return null;
    const name = labels.find(({ value }) => value === asked.label)?.name ?? "another label";
    return `The last answer was about ${name}; choose it, or put down a mark here.`;
  }
  const title = methods.find(({ id }) => id === asked?.method)?.title;
  if (answered !== null && title !== undefined) return `${title} does not say where it is uncertain.`;
  return "Put down a mark: the answer to it may say where it is uncertain.";
}

/** Return the Dice that the method expects of the selected label's mask; null when nobody has said. */
export function expectedDice({ answered, events, label }: Pick<State, "answered" | "events" | "label">): number | null {
  return lastAsked(events)?.label === label ? (answered?.quality ?? null) : null;
}

/** Return views in which a voxel is in the middle of every plane that does not show all of itself. */
export function centreViews(
  views: State["views"],
  planes: readonly Plane[],
  shape: Index,
  place: Index,
): State["views"] {
  const moved = planes.flatMap((plane) => {
    const view = views[plane.name];
    if (view === undefined) return [];
    const [u, v] = pixelOf(plane, shape, place);
    return [[plane.name, { ...view, centre: [u + 0.5, v + 0.5] }]];
  });
  return Object.fromEntries(moved) as State["views"];
}
