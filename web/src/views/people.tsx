/** Who has the open case open, when there is somebody else; one's own name is changed here. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { h } from "../dom";
import { initials, MAX_NAME } from "../people";
import { dialog } from "./dialogs";
import { fieldOf } from "./elements";

export function peopleGroup(actions: Actions): HTMLElement {
  const element = h("div", { class: "header-group people" });
  render(<People actions={actions} />, element);
  return element;
}

function People({ actions }: { readonly actions: Actions }) {
  const people = useMemo(() => fieldOf(actions.store, "people"), []).value;
  if (people.length < 2) return null;
  return (
    <ul class="people-list" aria-label="Who has this case open">
      {people.map(({ name, colour, you }) => {
        const style = { borderColor: `rgb(${colour.join(" ")})` };
        return (
          <li>
            {you === true ? (
              <button
                type="button"
                class="person"
                style={style}
                aria-label={`You are ${name}; change the name that others see`}
                title={`You are ${name}; others see this name`}
                onClick={() => {
                  nameDialog(actions, name);
                }}
              >
                {initials(name)}
              </button>
            ) : (
              <span class="person" style={style} role="img" aria-label={`${name} has this case open`} title={name}>
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
    h("label", { for: "own-name" }, "The name that others see when you have the same case open"),
    text,
    h("div", { class: "dialog-buttons" }, h("button", { class: "button primary" }, "Save")),
  );
  const element = dialog("Your name", form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    element.close();
    actions.rename(text.value);
  });
  text.select();
}
