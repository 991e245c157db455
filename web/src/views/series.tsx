/** Scans beside the case's image, and the times of a case that has many. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { pickSeries } from "../drop";
import { h } from "../dom";
import { seriesInfo } from "../state";
import { reportErrors } from "../toasts";
import { fieldOf, IconButton } from "./elements";

/** Return the list of series beside the open case's image, with a button to add one. */
export function seriesList(actions: Actions): HTMLElement {
  const element = h("div", {});
  render(<SeriesList actions={actions} />, element);
  return element;
}

function SeriesList({ actions }: { readonly actions: Actions }) {
  const field = useMemo(() => fieldOf(actions.store, "opened"), []);
  const opened = field.value;
  if (opened === null || opened.photo) return null;
  return (
    <>
      <ul class="series-list" aria-label="Series beside this image">
        {opened.beside.map(({ id, name, modality }) => (
          <li key={id}>
            <span>{modality === "" ? name : `${name} (${modality})`}</span>
            <IconButton
              name="close"
              small
              label={`Take ${name} away from this case`}
              onClick={() => {
                reportErrors(() => actions.removeSeries(id));
              }}
            />
          </li>
        ))}
      </ul>
      <button
        type="button"
        class="link series-add"
        title="Another scan of the same patient, such as T2 beside T1 or PET over CT; it may have another grid"
        onClick={pickSeries(actions)}
      >
        Add a series beside this image…
      </button>
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
    <div class="time-bar" role="group" aria-label="Time">
      <label for="time">Time</label>
      <input
        id="time"
        type="range"
        min={0}
        max={times - 1}
        value={at}
        title="< and > step through the times"
        onInput={({ currentTarget }) => {
          reportErrors(() => actions.setImage(Number(currentTarget.value)));
        }}
      />
      <output for="time">
        {at + 1} / {times}
      </output>
      <button
        type="button"
        class="button small"
        title="Marks belong to one time: this one becomes a case of its own"
        onClick={() => {
          reportErrors(() => actions.openTime(at));
        }}
      >
        Mark this time
      </button>
    </div>
  );
}
