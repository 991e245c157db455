/** A case that is read by several people: how far they are, where they differ, and the mask that decides. */

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import * as api from "../api";
import { fill, phrases, plural } from "../phrases";
import { may } from "../rights";
import { reportErrors } from "../toasts";
import { duration } from "../worklist";
import { fixed } from "../words";
import { fieldOf } from "./elements";

const SAY = phrases.reading;
const SLICES = 200; // that are listed of a label

/** What there is to say and do about the readers of the open case; nothing where it is given to nobody. */
export function CaseReading({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const [work, opened] = useMemo(() => [fieldOf(store, "work"), fieldOf(store, "opened")] as const, []);
  const read = useSignal<api.Read | null>(null);
  const one = work.value;
  const told = one?.reading ?? null;
  const reviews = one !== null && told !== null && told.mine === null && may(store.state.me, "reviewer", one.project);
  useEffect(() => {
    read.value = null;
    if (one === null || told === null || !reviews) return;
    reportErrors(async () => {
      const found = await api.reading(one.id);
      if (store.state.work?.id === one.id) read.value = found;
    });
  }, [one?.id, told?.state, told?.finished, opened.value?.session]);
  if (one === null || told === null) return null;
  const decides = read.value?.session !== null && read.value?.session === opened.value?.session;
  return (
    <div class="case-reading">
      <p class="hint">{wordsOf(told)}</p>
      {reviews && read.value !== null && (
        <>
          <ul class="readers" aria-label={SAY.readers}>
            {read.value.readings.map((reading) => (
              <li key={reading.reader}>
                <span dir="auto">{reading.reader}</span>
                <span class="hint">
                  {[SAY[reading.state], ...(reading.seconds >= 1 ? [duration(reading.seconds)] : [])].join("  ·  ")}
                </span>
              </li>
            ))}
          </ul>
          {told.state === "finished" && told.wanted > 1 && read.value.session === null && (
            <Begin actions={actions} read={read.value} />
          )}
          {told.state === "finished" && decides && <Differences actions={actions} read={read.value} />}
        </>
      )}
    </div>
  );
}

/** Return how far the readers of a case are in words, for who reads it or for others. */
export function wordsOf({ state, blind, mine, wanted, finished }: api.CaseReading): string {
  if (state === "decided") return SAY.wasRead;
  if (mine === "finished") return SAY.mineFinished;
  if (mine !== null) return blind ? SAY.mineBlind : SAY.mine;
  if (state === "finished") return SAY.toDecide;
  return fill(SAY.readBy, { finished: finished ?? 0, wanted });
}

/** Return the same in a word or two, for a row of the list. */
export function shortWordsOf({ state, mine, wanted, finished }: api.CaseReading): string {
  if (state === "decided") return "";
  if (mine !== null) return mine === "finished" ? "" : SAY.rowMine;
  return state === "finished" ? SAY.rowDecide : fill(SAY.rowRead, { finished: finished ?? 0, wanted });
}

/** The mask that decides begins with what all agree on, or as a reader has it. */
function Begin({ actions, read }: { readonly actions: Actions; readonly read: api.Read }) {
  return (
    <form
      class="reading-begin"
      onSubmit={(event) => {
        event.preventDefault();
        const chosen = new FormData(event.currentTarget).get("begin") as string;
        reportErrors(() => actions.reading.beginDecision(chosen === "" ? null : chosen));
      }}
    >
      <label>
        {SAY.beginWith}
        <select name="begin" class="select">
          <option value="">{SAY.agreed}</option>
          {read.readings.map(({ reader }) => (
            <option key={reader} value={reader}>
              {fill(SAY.maskOf, { name: reader })}
            </option>
          ))}
        </select>
      </label>
      <button class="button small primary">{SAY.begin}</button>
    </form>
  );
}

/** Where the mask that decides differs from a reader's: slice by slice, to go there, see it and take it over. */
function Differences({ actions, read }: { readonly actions: Actions; readonly read: api.Read }) {
  const { store } = actions;
  const [labels, label, events] = useMemo(
    () => [fieldOf(store, "labels"), fieldOf(store, "label"), fieldOf(store, "pending")] as const,
    [],
  );
  const reader = useSignal(read.readings[0]?.reader ?? "");
  const found = useSignal<readonly api.Difference[]>([]);
  const id = read.readings.length > 0 ? (store.state.opened?.case.id ?? "") : "";
  const waiting = events.value.length;
  const done = store.state.done.length;
  useEffect(() => {
    if (id === "" || waiting > 0) return;
    reportErrors(async () => {
      const differences = await api.differences(id, "decision", reader.value);
      if (store.state.opened?.case.id === id) found.value = differences;
    });
  }, [id, reader.value, waiting, done]);
  const name = labels.value.find(({ value }) => value === label.value)?.name ?? "";
  const same = (other: string): boolean => other.trim().toLowerCase() === name.trim().toLowerCase();
  const one = found.value.find((difference) => same(difference.name));
  const slices = one?.slices ?? [];
  return (
    <div class="reading-differences">
      <label>
        {SAY.compareWith}
        <select
          class="select"
          onChange={({ currentTarget }) => {
            reader.value = currentTarget.value;
          }}
        >
          {read.readings.map((reading) => (
            <option key={reading.reader} value={reading.reader} selected={reading.reader === reader.value}>
              {reading.reader}
            </option>
          ))}
        </select>
      </label>
      <p class="hint" role="status">
        {one === undefined || slices.length === 0
          ? fill(SAY.same, { label: name })
          : fill(SAY.differ, { label: name, dice: fixed(one.dice, 3), slices: plural(SAY.slices, slices.length) })}
      </p>
      {slices.length > 0 && (
        <div class="reading-buttons">
          <button
            type="button"
            class="button small"
            onClick={() => {
              reportErrors(() => actions.reading.showReader(reader.value));
            }}
          >
            {SAY.show}
          </button>
          <button
            type="button"
            class="button small"
            title={fill(SAY.takeAllTitle, { name: reader.value })}
            onClick={() => {
              reportErrors(() => actions.reading.takeReader(reader.value));
            }}
          >
            {SAY.takeAll}
          </button>
        </div>
      )}
      <ul class="reading-slices" aria-label={SAY.list}>
        {slices.slice(0, SLICES).map(({ z, only_one, only_other }) => (
          <li key={z}>
            <button
              type="button"
              class="link"
              title={SAY.goTo}
              onClick={() => {
                actions.views.goToSlice(z);
              }}
            >
              {fill(SAY.slice, { n: z + 1 })}
            </button>
            <span class="hint" title={SAY.countsTitle}>
              {`+${only_other} −${only_one}`}
            </span>
            <button
              type="button"
              class="link"
              aria-label={fill(SAY.takeSlice, { n: z + 1, name: reader.value })}
              onClick={() => {
                reportErrors(() => actions.reading.takeReader(reader.value, z));
              }}
            >
              {SAY.take}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
