/** What there is to set of the label that marks go to: how opaque it is, and what it is in SNOMED CT. */

import "../labels.css";
import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import type { Label, Structure } from "../api";
import { h } from "../dom";
import { reportErrors } from "../toasts";
import { dialog } from "./dialogs";
import { fieldOf } from "./elements";
import { codeWords, StructureSearch } from "./structures";
import { showTemplate } from "./template";

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
        <label for="label-opacity">Opaque</label>
        <input
          id="label-opacity"
          type="range"
          min={0}
          max={100}
          aria-label={`Opaque: ${label.name}`}
          title="How opaque this label is, as a part of the opacity of all masks"
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
        <span>Is</span>
        <button
          type="button"
          class="link label-code"
          title="What this label is in SNOMED CT; DICOM segmentations say it"
          onClick={() => {
            chooseStructure(actions, label);
          }}
        >
          {label.codes === null || label.codes === undefined ? "what its name says" : codeWords(label.codes)}
        </button>
      </div>
      <button
        type="button"
        class="link template-open"
        onClick={() => {
          reportErrors(() => showTemplate(actions));
        }}
      >
        Labels of this project…
      </button>
    </div>
  );
}

/** Ask what a label is; one that was never named is called so, too. */
function chooseStructure(actions: Actions, label: Label): void {
  const place = h("div", {});
  const element = dialog(`What is ${label.name}?`, place);
  const pick = ({ name, codes }: Structure): void => {
    actions.define({ ...label, codes, name: /^Object \d+$/.test(label.name) ? name : label.name });
    element.close();
  };
  const byName = (): void => {
    if (label.codes !== null && label.codes !== undefined) actions.define({ ...label, codes: null });
    element.close();
  };
  render(
    <>
      <StructureSearch id="structure-search" label="Search organs, tissues and lesions" onPick={pick} />
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={byName}>
          What its name says
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
