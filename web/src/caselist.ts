/**
 * The list of cases as this page has it: what is asked for, and those rows that have arrived, by their places.
 *
 * Pages come as they are scrolled to. A reply to a question that was changed meanwhile is thrown away.
 */

import { signal } from "@preact/signals";
import * as api from "./api";
import { reportErrors } from "./toasts";
import { ALL, openStatuses, pagesOf, parameters, type Query, type Rows } from "./worklist";

const PAGE = 100;
const SEARCH_MS = 120; // a person types on within that time
const SETTINGS = "segmend.list"; // in localStorage: the filters and the order, without the search

export class CaseList {
  readonly query = signal<Query>(restored());
  readonly total = signal<number | null>(null); // null until the first page arrived
  readonly totals = signal<api.Totals>({ untouched: 0, begun: 0, done: 0, rejected: 0, accepted: 0 });
  readonly choices = signal<api.Choices>({ projects: [], modalities: [], labels: [] });
  readonly rows = signal<ReadonlyMap<number, api.Case>>(new Map());
  readonly wanted = signal<number | null>(null); // a place that is to be scrolled to
  #sight: Rows = { first: 0, last: 0 };
  #generation = 0;
  #asked = new Set<number>(); // starts of pages
  #typing: ReturnType<typeof setTimeout> | undefined;

  /** Fetch the list anew, from where it is looked at; with the place of a case that is to be seen. */
  async load(seen?: string): Promise<void> {
    const generation = ++this.#generation;
    const asked = parameters(this.query.value);
    asked.set("limit", String(PAGE));
    if (seen !== undefined) asked.set("around", seen);
    const page = await api.casePage(asked);
    if (generation !== this.#generation) return;
    this.#asked = new Set();
    this.rows.value = new Map(page.cases.map((one, i) => [page.offset + i, one]));
    if (page.offset === 0 && page.cases.length > 0) this.#asked.add(0);
    this.#adopt(page);
    const place = page.cases.findIndex(({ id }) => id === seen);
    if (place >= 0) this.wanted.value = page.offset + place;
  }

  /** Fetch the list with a case in sight; where a filter hides it, all cases, and say false. */
  async loadWith(seen: string): Promise<boolean> {
    const holds = (): boolean => [...this.rows.value.values()].some(({ id }) => id === seen);
    await this.load(seen);
    if (holds()) return true;
    const { sort, descending } = this.query.value;
    this.query.value = { ...ALL, sort, descending };
    remember(this.query.value);
    await this.load(seen);
    return false;
  }

  /** Fetch the rows in sight again: somebody may have changed them. Or the list from the start, or round a case. */
  async refresh(seen?: string): Promise<void> {
    const starts = pagesOf(this.#sight, PAGE);
    if (seen !== undefined || starts.length === 0) return this.load(seen);
    const generation = ++this.#generation;
    const pages = await Promise.all(starts.map((start) => this.#page(start)));
    if (generation !== this.#generation) return;
    this.#asked = new Set();
    this.rows.value = new Map();
    for (const page of pages) this.#take(page);
  }

  /** Fetch the rows that are in sight, as far as they are not there. */
  show(rows: Rows): void {
    this.#sight = rows;
    const missing = (start: number): boolean => {
      for (let place = Math.max(start, rows.first); place < Math.min(start + PAGE, rows.last); place++) {
        if (!this.rows.value.has(place)) return !this.#asked.has(start);
      }
      return false;
    };
    for (const start of pagesOf(rows, PAGE).filter(missing)) {
      this.#asked.add(start);
      const generation = this.#generation;
      reportErrors(async () => {
        try {
          const page = await this.#page(start);
          if (generation === this.#generation) this.#take(page);
        } catch (error) {
          if (generation === this.#generation) this.#asked.delete(start);
          throw error;
        }
      });
    }
  }

  #page(start: number): Promise<api.CasePage> {
    const asked = parameters(this.query.value);
    asked.set("limit", String(PAGE));
    asked.set("offset", String(start));
    return api.casePage(asked);
  }

  #take(page: api.CasePage): void {
    const rows = new Map(this.rows.value);
    page.cases.forEach((one, i) => rows.set(page.offset + i, one));
    this.rows.value = rows;
    this.#adopt(page);
  }

  #adopt({ total, totals }: api.CasePage): void {
    this.total.value = total;
    this.totals.value = totals;
  }

  /** Ask for something else; a search waits for the end of a word. */
  ask(changes: Partial<Query>): void {
    this.query.value = { ...this.query.value, ...changes };
    remember(this.query.value);
    clearTimeout(this.#typing);
    const load = (): void => {
      this.wanted.value = 0;
      reportErrors(() => this.load());
    };
    if ("text" in changes) this.#typing = setTimeout(load, SEARCH_MS);
    else load();
  }

  /** Show a case that was changed as it is now. */
  replace(changed: api.Case): void {
    for (const [place, one] of this.rows.value) {
      if (one.id === changed.id) this.rows.value = new Map(this.rows.value).set(place, changed);
    }
  }

  async loadChoices(): Promise<void> {
    this.choices.value = await api.choices();
  }

  /** Return a case, from the rows where it is among them. */
  async find(id: string): Promise<api.Case> {
    for (const one of this.rows.value.values()) if (one.id === id) return one;
    return api.oneCase(id);
  }

  /** Return the case behind this one in the list, or before it; with `open` the next one that is to be worked on. */
  async next(id: string, { back = false, open = false } = {}): Promise<api.Case | null> {
    const query = this.query.value;
    const asked = parameters(query, open ? openStatuses(query) : query.statuses);
    if (back) asked.set("back", "true");
    return api.nextCase(id, asked);
  }

  /** The cases that are known, the first ones of the list where they are among them. */
  get known(): readonly api.Case[] {
    return [...this.rows.value].sort(([one], [other]) => one - other).map(([, found]) => found);
  }
}

function restored(): Query {
  try {
    return { ...ALL, ...(JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") as Partial<Query>), text: "" };
  } catch {
    return ALL; // no storage, or not what we wrote
  }
}

function remember(query: Query): void {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify({ ...query, text: "" }));
  } catch {
    // the list is as it was when the page is opened next
  }
}
