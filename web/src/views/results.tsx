/** The dialog of results: what is to leave, of this case or of all cases of the list, as one zip. */

import { fill, phrases } from "../phrases";
import "../results.css";
import { useSignal } from "@preact/signals";
import type { Actions } from "../actions";
import * as api from "../api";
import { h } from "../dom";
import { archiveAddress, fits, GROUPS } from "../formats";
import { overlaps } from "../labels";
import { toast } from "../toasts";
import { filtersOf, parameters } from "../worklist";
import { showRendered } from "./rendered";

type Group = api.Format["group"];

const SAY = phrases.results;
const KEPT = "segmend.results"; // in localStorage: the kinds that were asked for last
const USUAL = [".nii.gz", ".csv"];

export function showResults(actions: Actions): void {
  showRendered("results", SAY.title, (close) => <Results actions={actions} close={close} />);
}

interface Props {
  readonly actions: Actions;
  readonly close: () => void;
}

function Results({ actions, close }: Props) {
  const { store } = actions;
  const { list } = actions.worklist;
  const { opened, formats } = store.state;
  const kinds = useSignal<ReadonlySet<string>>(remembered());
  const all = useSignal(opened === null);
  const patient = useSignal(false);
  const total = list.total.value ?? 0;
  const filtered = filtersOf(list.query.value) > 0 || list.query.value.text.trim() !== "";
  const picture = opened?.volume.shape[0] === 1;
  const offered = formats.filter((format) => all.value || opened === null || fits(format, picture));
  const chosen = new Set(offered.map(({ suffix }) => suffix).filter((suffix) => kinds.value.has(suffix)));
  const choose = (suffix: string, wanted: boolean): void => {
    const others = [...kinds.value].filter((one) => one !== suffix);
    kinds.value = new Set(wanted ? [...others, suffix] : others);
  };
  const send = (event: Event): void => {
    event.preventDefault();
    remember(kinds.value);
    const cases = all.value || opened === null ? parameters(list.query.value) : opened.case.id;
    const path = archiveAddress({ kinds: chosen, cases, patient: patient.value });
    h("a", { href: api.address(path), download: "" }).click();
    toast(SAY.coming, "good");
    close();
  };
  return (
    <form onSubmit={send}>
      <fieldset class="results-of">
        <legend>{SAY.of}</legend>
        {opened !== null && (
          <label>
            <input
              type="radio"
              name="results-of"
              checked={!all.value}
              onChange={() => {
                all.value = false;
              }}
            />
            <span>{fill(SAY.thisCase, { name: opened.case.name })}</span>
          </label>
        )}
        <label>
          <input
            type="radio"
            name="results-of"
            checked={all.value}
            onChange={() => {
              all.value = true;
            }}
          />
          <span>{fill(filtered ? SAY.allShown : SAY.allCases, { n: total })}</span>
        </label>
      </fieldset>
      <div class="results-kinds">
        {(Object.keys(GROUPS) as Group[]).map((group) => {
          const inGroup = offered.filter((format) => format.group === group);
          if (inGroup.length === 0) return null;
          return (
            <fieldset key={group}>
              <legend>{GROUPS[group]}</legend>
              {inGroup.map(({ suffix, title }) => (
                <label key={suffix}>
                  <input
                    type="checkbox"
                    data-kind={suffix}
                    checked={kinds.value.has(suffix)}
                    onChange={({ currentTarget }) => {
                      choose(suffix, currentTarget.checked);
                    }}
                  />
                  <span lang="en" dir="auto">
                    {title}
                  </span>
                  {suffix.startsWith(".") && <code>{suffix}</code>}
                </label>
              ))}
            </fieldset>
          );
        })}
      </div>
      {!all.value && store.state.labels.some(overlaps) && <p class="hint results-overlap">{SAY.overlap}</p>}
      <label class="results-patient">
        <input
          type="checkbox"
          checked={patient.value}
          onChange={({ currentTarget }) => {
            patient.value = currentTarget.checked;
          }}
        />
        <span>{SAY.patient}</span>
      </label>
      <div class="dialog-buttons">
        <span class="hint results-hint">{all.value ? SAY.unmarked : SAY.oneZip}</span>
        <button class="button primary" disabled={chosen.size === 0 || (all.value && total === 0)}>
          {phrases.common.download}
        </button>
      </div>
    </form>
  );
}

function remembered(): ReadonlySet<string> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "null");
    if (Array.isArray(kept)) return new Set(kept.filter((one): one is string => typeof one === "string"));
  } catch {
    // no storage, or not ours
  }
  return new Set(USUAL);
}

function remember(kinds: ReadonlySet<string>): void {
  try {
    localStorage.setItem(KEPT, JSON.stringify([...kinds]));
  } catch {
    // no storage: the usual ones next time
  }
}
