/** Who has the open case open, when there is somebody else; one's own name is changed here. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { h } from "../dom";
import { initials, MAX_NAME } from "../people";
import { dialog } from "./dialogs";
import { fieldOf } from "./elements";
import { fill, phrases } from "../phrases";

const SAY = phrases.people;

export function peopleGroup(actions: Actions): HTMLElement {
  const element = h("div", { class: "header-group people" });
  render(<People actions={actions} />, element);
  return element;
}

function People({ actions }: { readonly actions: Actions }) {
  const people = useMemo(() => fieldOf(actions.store, "people"), []).value;
  if (people.length < 2) return null;
  return (
    <ul class="people-list" aria-label={SAY.list}>
      {people.map(({ name, colour, you }) => {
        const style = { borderColor: `rgb(${colour.join(" ")})` };
        return (
          <li>
            {you === true ? (
              <button
                type="button"
                class="person"
                style={style}
                aria-label={fill(SAY.you, { name })}
                title={fill(SAY.youTitle, { name })}
                onClick={() => {
                  nameDialog(actions, name);
                }}
              >
                {initials(name)}
              </button>
            ) : (
              <span class="person" style={style} role="img" aria-label={fill(SAY.hasOpen, { name })} title={name}>
                {initials(name)}
              </span>
            )}
          </li>
        );
      })}
    </ul>
  );
}

function nameDialog(actions: Actions, name: string): void {
  const text = h("input", { id: "own-name", class: "text-input", maxlength: MAX_NAME, autocomplete: "name" });
  text.value = name;
  const form = h(
    "form",
    {},
    h("label", { for: "own-name" }, SAY.name),
    text,
    h("div", { class: "dialog-buttons" }, h("button", { class: "button primary" }, phrases.common.save)),
  );
  const element = dialog(SAY.title, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    element.close();
    actions.session.rename(text.value);
  });
  text.select();
}
