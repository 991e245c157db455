/** The list of cases without a page: what it is asked for, which rows are in sight, what a row says. */

import type { Case, Status } from "./api";
import { fill, phrases, plural } from "./phrases";

const SAY = phrases.worklist;

export const STATUSES = ["untouched", "begun", "done", "rejected", "accepted"] as const satisfies readonly Status[];
/** The statuses of cases that are still to be worked on. */
export const OPEN: readonly Status[] = ["untouched", "begun"];

export const STATUS_WORDS: Readonly<Record<Status, string>> = {
  untouched: phrases.status.untouched,
  begun: phrases.status.begun,
  done: phrases.status.done,
  rejected: phrases.status.rejected,
  accepted: phrases.status.accepted,
};

export const SORTS = {
  added: SAY.sortAdded,
  name: SAY.sortName,
  status: SAY.sortStatus,
  changed: SAY.sortChanged,
  patient: SAY.sortPatient,
  study: SAY.sortStudy,
  doubt: SAY.sortDoubt,
} as const;
export type Sort = keyof typeof SORTS;

export const DATES = { added: SAY.added, changed: SAY.changed, study: SAY.studied } as const;
export type DateOf = keyof typeof DATES;

/** What cases are looked for by who reads them; empty: any. */
export const READINGS = {
  mine: SAY.readMine,
  open: SAY.readOpen,
  finished: SAY.readFinished,
  decided: SAY.readDecided,
} as const;
export type Reading = keyof typeof READINGS | "";

/** What a list shows, and in which order; empty texts leave nothing out. */
export interface Query {
  readonly text: string;
  readonly statuses: readonly Status[];
  readonly project: string;
  readonly modality: string;
  readonly label: string;
  readonly reading: Reading;
  readonly dateOf: DateOf;
  readonly since: string; // YYYY-MM-DD
  readonly until: string; // that day included
  readonly sort: Sort;
  readonly descending: boolean;
}

export const ALL: Query = {
  text: "",
  statuses: [],
  project: "",
  modality: "",
  label: "",
  reading: "",
  dateOf: "added",
  since: "",
  until: "",
  sort: "added",
  descending: false,
};

/** Return a list's filter and order as the server reads them; other statuses in place of its own where they are given. */
export function parameters(query: Query, statuses: readonly Status[] = query.statuses): URLSearchParams {
  const asked = new URLSearchParams({ sort: query.sort });
  if (query.descending) asked.set("descending", "true");
  if (query.text.trim() !== "") asked.set("q", query.text.trim());
  for (const status of statuses) asked.append("status", status);
  for (const name of ["project", "modality", "label", "reading"] as const)
    if (query[name] !== "") asked.set(name, query[name]);
  if (query.since !== "") asked.set("since", query.since);
  if (query.until !== "") asked.set("until", query.until);
  if (query.since !== "" || query.until !== "") asked.set("date_of", query.dateOf);
  return asked;
}

/** Return the statuses of this list that are still to be worked on; all such where it shows none of them. */
export function openStatuses({ statuses }: Query): readonly Status[] {
  const both = OPEN.filter((status) => statuses.includes(status));
  return both.length > 0 ? both : OPEN;
}

/** Return how many filters leave cases out, the search left aside. */
export function filtersOf(query: Query): number {
  const set = [query.project, query.modality, query.label, query.reading, query.since + query.until].filter(
    (one) => one !== "",
  );
  return set.length + (query.statuses.length > 0 ? 1 : 0);
}

/** Rows from `first` up to, not including, `last`. */
export interface Rows {
  readonly first: number;
  readonly last: number;
}

/** Return the rows in sight of a list that is scrolled by so many pixels, and some beside them. */
export function rowsInSight(scrolled: number, height: number, row: number, total: number, beside: number): Rows {
  const first = Math.floor(scrolled / row) - beside;
  const last = Math.ceil((scrolled + height) / row) + beside;
  return { first: clamp(first, 0, total), last: clamp(last, 0, total) };
}

/** Return how far to scroll so that a row is in sight: not at all where it is, otherwise to the middle or the near edge. */
export function scrollTo(place: number, scrolled: number, height: number, row: number, middle: boolean): number {
  const top = place * row;
  if (top >= scrolled && top + row <= scrolled + height) return scrolled;
  if (middle) return Math.max(0, top + row / 2 - height / 2);
  return top < scrolled ? top : top + row - height;
}

/** Return the starts of the pages that hold these rows. */
export function pagesOf({ first, last }: Rows, page: number): number[] {
  const starts: number[] = [];
  for (let start = Math.floor(first / page) * page; start < last; start += page) starts.push(start);
  return starts;
}

/** Return where a key leads in a list; null for a key that leads nowhere. */
export function placeAfter(key: string, place: number, total: number, page: number): number | null {
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: place + 1,
    ArrowUp: place - 1,
    PageDown: place + page,
    PageUp: place - page,
    Home: 0,
    End: total - 1,
  };
  return key in steps ? clamp(steps[key], 0, total - 1) : null;
}

/** Return whose scan it is and of when; what kind and how large where nobody knows. */
export function whose({ patient, study_date }: Case, otherwise: string): string {
  return [patient, study_date].filter((part) => part !== "").join("  ·  ") || otherwise;
}

/** Return time at work in words. */
export function duration(seconds: number): string {
  if (seconds < 60) return fill(SAY.seconds, { n: Math.round(seconds) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return fill(SAY.minutes, { n: minutes });
  return fill(SAY.hours, { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** Return how far a list is in words. */
export function progress(totals: Readonly<Record<Status, number>>): string {
  const all = STATUSES.reduce((sum, status) => sum + totals[status], 0);
  const parts = [fill(SAY.done, { done: totals.done + totals.accepted, all })];
  if (totals.begun > 0) parts.push(fill(SAY.begun, { n: totals.begun }));
  if (totals.accepted > 0) parts.push(fill(SAY.accepted, { n: totals.accepted }));
  if (totals.rejected > 0) parts.push(fill(SAY.rejected, { n: totals.rejected }));
  return parts.join(phrases.common.comma);
}

/** Return the sentence that says what of an upload became no case, null where all did. */
export function leftOut(files: readonly { name: string; why: string }[], count: number): string | null {
  if (count === 0) return null;
  const shown = files.slice(0, 3).map(({ why }) => why);
  const more = count - shown.length;
  const rest = more > 0 ? [fill(phrases.actions.andMore, { n: more })] : [];
  return [plural(phrases.actions.leftOut, count), ...shown, ...rest].join(" ");
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
