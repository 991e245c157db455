/**
 * Where to look next: the places where the last answer is uncertain, one after the other.
 *
 * The server finds them, by the rule that the library has; here is only which one to ask for, and the sentence about it.
 */

import type { Event, Method } from "./api";
import { planeOfView } from "./arrange";
import { type Index, type Plane, pixelOf } from "./geometry";
import type { LabelMap } from "./labelmap";
import { fill, phrases } from "./phrases";
import type { State, UncertainPlace } from "./state";

const SAY = phrases.look;

/** Return which place comes next; after the last one the first comes again. */
export function nextRank(uncertainPlace: UncertainPlace | null): number {
  return uncertainPlace === null || uncertainPlace.place === null ? 0 : uncertainPlace.rank + 1;
}

/** Return what a person is told of a place: a mark of the sign that would change the mask, where the mask is wrong. */
export function sentence({ rank, place, inside }: UncertainPlace): string {
  if (place !== null) {
    const where = rank === 0 ? SAY.uncertain : fill(SAY.uncertainPlace, { n: rank + 1 });
    return `${where} ${inside ? SAY.inside : SAY.outside}`;
  }
  return rank === 0 ? SAY.nothing : SAY.nothingElse;
}

/** The event that last changed masks, as far as it asked for an answer: on which label, by which method. */
export function lastAsked(events: readonly Event[]): { label: number; method: string | null } | null {
  const last = events.filter(({ event }) => !["defined", "ordered", "slices_locked"].includes(event)).at(-1);
  if (last?.event === "prompted") return { label: last.label, method: last.method };
  if (last?.event === "edited") return { label: last.label, method: null };
  if (last?.event !== "removed") return null;
  const of = events.at(last.of);
  return of?.event === "prompted" || of?.event === "edited" ? { label: of.label, method: null } : null;
}

type Asking = Pick<
  State,
  "opened" | "events" | "pending" | "unsent" | "uncertaintyOf" | "label" | "labels" | "methods"
> &
  Pick<State, "connection" | "answered">;

/** Return why there is no place to go to now, in a sentence; null when there may be one. */
export function whyNot(state: Asking): string | null {
  const { opened, events, pending, unsent, uncertaintyOf, label, labels, methods, connection, answered } = state;
  if (opened === null) return SAY.openFirst;
  if (connection !== "live") return SAY.lost;
  if (pending.length + unsent.length > 0) return SAY.onItsWay;
  const asked = lastAsked(events);
  if (uncertaintyOf !== null && asked !== null) {
    if (asked.label === label) return null;
    const name = labels.find(({ value }) => value === asked.label)?.name ?? SAY.anotherLabel;
    return fill(SAY.about, { name });
  }
  const title = methods.find(({ id }) => id === asked?.method)?.title;
  if (answered !== null && title !== undefined) return fill(SAY.silent, { method: title });
  return SAY.markFirst;
}

type Judging = Pick<State, "answered" | "events" | "label" | "methods" | "opened">;

/**
 * Return the Dice that the method expects of the selected label's mask; null when nobody has said, or when what the
 * method says is not known to be near the truth in images like this one.
 */
export function expectedDice({ answered, events, label, methods, opened }: Judging): number | null {
  const asked = lastAsked(events);
  if (asked?.label !== label || answered === null || opened === null) return null;
  return isCalibrated(methods, asked.method, opened.volume.shape[0] === 1) ? answered.quality : null;
}

/** Return the two values between which the true Dice lay in eight of ten masks of which as much was expected. */
export function interval(
  { methods, events, opened }: Pick<State, "methods" | "events" | "opened">,
  expected: number,
): readonly [number, number] | null {
  if (opened === null) return null;
  const card = methods.find(({ id }) => id === lastAsked(events)?.method);
  const known = card?.intervals[opened.volume.shape[0] === 1 ? 2 : 3] ?? [];
  if (known.length === 0) return null;
  const above = known.findIndex((one) => one.expected >= expected);
  const low = known[above === -1 ? known.length - 1 : Math.max(0, above - 1)];
  const high = known[above === -1 ? known.length - 1 : above];
  const share = high.expected > low.expected ? (expected - low.expected) / (high.expected - low.expected) : 0;
  const between = (a: number, b: number): number => a + Math.min(1, Math.max(0, share)) * (b - a);
  return [between(low.low, high.low), between(low.high, high.high)];
}

/** Say whether the Dice that a method expects of its masks is known to be near the true one, in pictures or volumes. */
export function isCalibrated(methods: readonly Method[], method: string | null, flat: boolean): boolean {
  const card = methods.find(({ id }) => id === method);
  return card?.calibrated.includes(flat ? 2 : 3) === true;
}

/** Return the label that lies under a positive mark on another one, where that may not take its voxels; else null. */
export function covering(event: Extract<Event, { event: "prompted" }>, map: LabelMap): number | null {
  const { prompt, label } = event;
  if (prompt.kind !== "click" || !prompt.positive) return null;
  const there = map.at(prompt.index);
  return there === 0 || there === label ? null : there;
}

/** Return those views, each with a voxel in its middle, that show only a part of their plane. */
export function centreViews(
  views: State["views"],
  planes: readonly Plane[],
  shape: Index,
  place: Index,
): State["views"] {
  const moved = Object.entries(views).flatMap(([id, view]) => {
    const plane = planeOfView(id, planes);
    if (plane === undefined) return [];
    const [u, v] = pixelOf(plane, shape, place);
    return [[id, { ...view, centre: [u + 0.5, v + 0.5] }]];
  });
  return Object.fromEntries(moved) as State["views"];
}
