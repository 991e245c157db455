/** What there is to set of the label that marks go to: how opaque it is, and what it is in SNOMED CT. */

import "../labels.css";
import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import type { Label, Structure } from "../api";
import { h } from "../dom";
import { isTouched, objectsOf, overlaps, titleOf } from "../labels";
import { fill, objectName, phrases } from "../phrases";
import { may } from "../rights";
import { reportErrors } from "../toasts";
import { fieldOf, Icon } from "./elements";
import { showRendered } from "./rendered";
import { codeWords, StructureSearch } from "./structures";
import { showTemplate } from "./template";

const SAY = phrases.labelling;

export function labelDetails(actions: Actions): HTMLElement {
  const element = h("div", {});
  render(<Details actions={actions} />, element);
  return element;
}

function Details({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const fields = useMemo(
    () => ({
      me: fieldOf(store, "me"),
      labels: fieldOf(store, "labels"),
      label: fieldOf(store, "label"),
      opened: fieldOf(store, "opened"),
      events: fieldOf(store, "events"),
      done: fieldOf(store, "done"),
    }),
    [],
  );
  const labels = fields.labels.value;
  const label = labels.find(({ value }) => value === fields.label.value);
  if (fields.opened.value === null || label === undefined) return null;
  const objects = objectsOf(labels, label);
  const [events, done] = [fields.events.value, fields.done.value];
  const settled = objects.some(({ value }) => isTouched(events, done, value));
  const show = (opacity: number): void => {
    const labels = store.state.labels.map((one) => (one.value === label.value ? { ...one, opacity } : one));
    store.set({ labels }); // as long as the slider moves
  };
  return (
    <div class="label-details">
      <div class="slider-row">
        <label for="label-opacity">{SAY.opaque}</label>
        <input
          id="label-opacity"
          type="range"
          min={0}
          max={100}
          aria-label={fill(SAY.opaqueLabel, { name: titleOf(label) })}
          title={SAY.opaqueTitle}
          value={Math.round(100 * label.opacity)}
          onInput={({ currentTarget }) => {
            show(Number(currentTarget.value) / 100);
          }}
          onChange={({ currentTarget }) => {
            actions.labels.define({ ...label, opacity: Number(currentTarget.value) / 100 });
          }}
        />
        <output for="label-opacity">{Math.round(100 * label.opacity)} %</output>
      </div>
      <div class="choice-row">
        <span>{SAY.is}</span>
        <button
          type="button"
          class="link label-code"
          title={SAY.isTitle}
          onClick={() => {
            chooseStructure(actions, label);
          }}
        >
          {label.codes === null || label.codes === undefined ? SAY.byName : codeWords(label.codes)}
        </button>
      </div>
      <label class="check label-overlaps" title={settled ? SAY.overlapsSettled : SAY.overlapsTitle}>
        <input
          type="checkbox"
          checked={overlaps(label)}
          disabled={settled}
          onChange={({ currentTarget }) => {
            actions.labels.setOverlap(label, currentTarget.checked);
          }}
        />
        {SAY.overlaps}
      </label>
      <div class="object-row">
        <button
          type="button"
          class="button quiet next-object"
          title={SAY.nextObjectTitle}
          onClick={() => {
            actions.labels.nextObject();
          }}
        >
          <Icon name="plus" />
          {SAY.nextObject}
        </button>
        {typeof label.instance === "number" && (
          <span class="object-count">{fill(SAY.objectOf, { n: label.instance, count: objects.length })}</span>
        )}
      </div>
      {may(fields.me.value, "admin", fields.opened.value.case.project) && (
        <button
          type="button"
          class="link template-open"
          onClick={() => {
            reportErrors(() => showTemplate(actions));
          }}
        >
          {SAY.template}
        </button>
      )}
    </div>
  );
}

/** Say whether nobody has named a label: the page, in one of its languages, or a program has. */
const isUnnamed = ({ name, value }: Label): boolean => /^Object \d+$/.test(name) || name === objectName(value);

/** Ask what a label and all objects of its name are; one that was never named is called so, too. */
function chooseStructure(actions: Actions, label: Label): void {
  showRendered("structure-choice", fill(SAY.what, { name: label.name }), (close) => {
    const pick = ({ name, codes }: Structure): void => {
      actions.labels.defineObjects(label, { codes, name: isUnnamed(label) ? name : label.name });
      close();
    };
    const byName = (): void => {
      if (label.codes !== null && label.codes !== undefined) actions.labels.defineObjects(label, { codes: null });
      close();
    };
    return (
      <>
        <StructureSearch id="structure-search" label={SAY.search} onPick={pick} />
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={byName}>
            {SAY.byNameButton}
          </button>
        </div>
      </>
    );
  });
  document.getElementById("structure-search")?.focus();
}
