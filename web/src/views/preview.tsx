/** What a change would be, before it is made: the sentence and the keys, over the picture; and the switch for it. */

import "../help.css";
import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { GAINED_COLOUR, LOST_COLOUR, wordsOf } from "../change";
import { h } from "../dom";
import { fieldOf } from "./elements";
import { fill, phrases } from "../phrases";
import { keyNames } from "../shortcut";

const SAY = phrases.preview;
const KEPT = "segmend.previewing"; // in localStorage: the switch is on

export function previewBar(actions: Actions): HTMLElement {
  const element = h("div", { class: "preview-place" });
  render(<Bar actions={actions} />, element);
  window.addEventListener(
    "keydown",
    (event) => {
      const { preview, robot } = actions.store.state;
      if (event.key === "Escape" && robot !== null) actions.store.set({ robot: null });
      if (preview === null || document.querySelector("dialog[open]") !== null) return;
      if (event.key !== "Enter" && event.key !== "Escape") return;
      if (event.target instanceof HTMLInputElement && event.target.type !== "range") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Enter") actions.previews.take();
      else actions.previews.drop();
    },
    { capture: true },
  );
  return element;
}

function Bar({ actions }: { readonly actions: Actions }) {
  const [field, names] = useMemo(() => [fieldOf(actions.store, "preview"), fieldOf(actions.store, "labels")], []);
  const preview = field.value;
  if (preview === null) return null;
  const { title, event, change, take } = preview;
  const name = names.value.find(({ value }) => value === change?.label)?.name ?? SAY.theLabel;
  const swatch = (words: string, colour: readonly number[]) => (
    <span class="preview-swatch">
      <span style={{ background: `rgb(${colour.join()})` }} aria-hidden="true" />
      {words}
    </span>
  );
  const sentence =
    change === null
      ? event === null
        ? preview.reader === true
          ? SAY.working
          : fill(SAY.asking, { method: title })
        : SAY.working
      : event === null
        ? fill(preview.reader === true ? SAY.asRead : SAY.compared, {
            method: title,
            change: wordsOf(change, name),
          })
        : fill(SAY.changed, { what: title, change: wordsOf(change, name) });
  return (
    <div class="preview-bar" role="status">
      <span class="preview-words">
        <span>{sentence}</span>
        {change !== null && change.gained > 0 && swatch(SAY.gained, GAINED_COLOUR)}
        {change !== null && change.lost > 0 && swatch(SAY.lost, LOST_COLOUR)}
      </span>
      <span class="preview-buttons">
        {take !== null && (
          <button
            type="button"
            class="button small primary"
            onClick={() => {
              actions.previews.take();
            }}
          >
            {SAY.take} <kbd>{keyNames("Enter")}</kbd>
          </button>
        )}
        <button
          type="button"
          class="button small"
          onClick={() => {
            actions.previews.drop();
          }}
        >
          {SAY.drop} <kbd>Esc</kbd>
        </button>
      </span>
    </div>
  );
}

/** Return the switch that has marks and edits shown before they are made. */
export function previewSwitch(actions: Actions): HTMLElement {
  const input = h("input", {
    type: "checkbox",
    onchange: () => {
      actions.store.set({ previewing: input.checked });
      try {
        localStorage.setItem(KEPT, String(input.checked));
      } catch {
        // no storage: it holds for this page
      }
    },
  });
  try {
    actions.store.set({ previewing: localStorage.getItem(KEPT) === "true" });
  } catch {
    // no storage
  }
  actions.store.on(["previewing"], ({ previewing }) => {
    input.checked = previewing;
  });
  const title = SAY.hint;
  return h("div", { class: "check-row" }, h("label", { class: "check", title }, input, SAY.title));
}
