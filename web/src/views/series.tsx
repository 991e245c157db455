/** Scans beside the case's image, and the times of a case that has many. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { pickSeries } from "../drop";
import { h } from "../dom";
import { fill, phrases } from "../phrases";
import { may } from "../rights";
import { seriesInfo } from "../state";
import { reportErrors } from "../toasts";
import { fieldOf, IconButton } from "./elements";

const SAY = phrases.series;

/** Return the list of series beside the open case's image, with a button to add one. */
export function seriesList(actions: Actions): HTMLElement {
  const element = h("div", {});
  render(<SeriesList actions={actions} />, element);
  return element;
}

function SeriesList({ actions }: { readonly actions: Actions }) {
  const [field, me] = useMemo(() => [fieldOf(actions.store, "opened"), fieldOf(actions.store, "me")] as const, []);
  const opened = field.value;
  if (opened === null || opened.photo) return null;
  const adds = may(me.value, "reviewer", opened.case.project);
  return (
    <>
      <ul class="series-list" aria-label={SAY.list}>
        {opened.beside.map(({ id, name, modality }) => (
          <li key={id}>
            <span>{modality === "" ? name : `${name} (${modality})`}</span>
            {adds && (
              <IconButton
                name="close"
                small
                label={fill(SAY.remove, { name })}
                onClick={() => {
                  reportErrors(() => actions.adding.removeSeries(id));
                }}
              />
            )}
          </li>
        ))}
      </ul>
      {adds && (
        <button type="button" class="link series-add" title={SAY.addTitle} onClick={pickSeries(actions)}>
          {SAY.add}
        </button>
      )}
    </>
  );
}

/** Return the slider over the times of a case that has many. */
export function timeBar(actions: Actions): HTMLElement {
  const element = h("div", {});
  render(<TimeBar actions={actions} />, element);
  return element;
}

function TimeBar({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const fields = useMemo(() => ({ opened: fieldOf(store, "opened"), image: fieldOf(store, "image") }), []);
  const [opened, image] = [fields.opened.value, fields.image.value];
  if (opened?.case.timed !== true) return null;
  const times = opened.images - opened.beside.length;
  const at = seriesInfo(opened, image) === null ? image : 0;
  return (
    <div class="time-bar" role="group" aria-label={SAY.time}>
      <label for="time">{SAY.time}</label>
      <input
        id="time"
        type="range"
        min={0}
        max={times - 1}
        value={at}
        title={SAY.timeTitle}
        onInput={({ currentTarget }) => {
          reportErrors(() => actions.images.setImage(Number(currentTarget.value)));
        }}
      />
      <output for="time">
        {at + 1} / {times}
      </output>
      <button
        type="button"
        class="button small"
        title={SAY.markTitle}
        onClick={() => {
          reportErrors(() => actions.cases.openTime(at));
        }}
      >
        {SAY.mark}
      </button>
    </div>
  );
}
