/** What there is to set of the label that marks go to: how opaque it is, and what it is in SNOMED CT. */

import "../labels.css";
import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import type { Label, Structure } from "../api";
import { h } from "../dom";
import { fill, objectName, phrases } from "../phrases";
import { reportErrors } from "../toasts";
import { dialog } from "./dialogs";
import { fieldOf } from "./elements";
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
    () => ({ labels: fieldOf(store, "labels"), label: fieldOf(store, "label"), opened: fieldOf(store, "opened") }),
    [],
  );
  const label = fields.labels.value.find(({ value }) => value === fields.label.value);
  if (fields.opened.value === null || label === undefined) return null;
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
          aria-label={fill(SAY.opaqueLabel, { name: label.name })}
          title={SAY.opaqueTitle}
          value={Math.round(100 * label.opacity)}
          onInput={({ currentTarget }) => {
            show(Number(currentTarget.value) / 100);
          }}
          onChange={({ currentTarget }) => {
            actions.define({ ...label, opacity: Number(currentTarget.value) / 100 });
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
      <button
        type="button"
        class="link template-open"
        onClick={() => {
          reportErrors(() => showTemplate(actions));
        }}
      >
        {SAY.template}
      </button>
    </div>
  );
}

/** Say whether nobody has named a label: the page, in one of its languages, or a program has. */
const isUnnamed = ({ name, value }: Label): boolean => /^Object \d+$/.test(name) || name === objectName(value);

/** Ask what a label is; one that was never named is called so, too. */
function chooseStructure(actions: Actions, label: Label): void {
  const place = h("div", {});
  const element = dialog(fill(SAY.what, { name: label.name }), place);
  const pick = ({ name, codes }: Structure): void => {
    actions.define({ ...label, codes, name: isUnnamed(label) ? name : label.name });
    element.close();
  };
  const byName = (): void => {
    if (label.codes !== null && label.codes !== undefined) actions.define({ ...label, codes: null });
    element.close();
  };
  render(
    <>
      <StructureSearch id="structure-search" label={SAY.search} onPick={pick} />
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={byName}>
          {SAY.byNameButton}
        </button>
      </div>
    </>,
    place,
  );
  element.addEventListener("close", () => {
    render(null, place);
  });
  document.getElementById("structure-search")?.focus();
}
