/** What a person likes of the page: its colours, the side of the panel. It is kept in the browser. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { type Side, SIDES, type Theme, THEMES } from "../appearance";
import { h } from "../dom";
import { dialog } from "./dialogs";
import { fieldOf } from "./elements";

const THEME_WORDS: Readonly<Record<Theme, string>> = {
  system: "As the system has it",
  dark: "Dark",
  light: "Light; pictures stay dark",
  contrast: "High contrast",
};
const SIDE_WORDS: Readonly<Record<Side, string>> = {
  left: "On the left, for the left hand",
  right: "On the right, for the right hand",
};

export function showSettings(actions: Actions): void {
  if (document.querySelector("dialog.settings") !== null) return;
  const place = h("div", {});
  const element = dialog("Settings", place);
  element.classList.add("settings");
  render(<Settings actions={actions} />, place);
  element.addEventListener("close", () => {
    render(null, place);
  });
}

function Settings({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const [theme, panel] = useMemo(() => [fieldOf(store, "theme"), fieldOf(store, "panel")], []);
  return (
    <>
      <Choice
        name="theme"
        title="Colours"
        values={THEMES}
        words={THEME_WORDS}
        chosen={theme.value}
        choose={(value) => {
          store.set({ theme: value });
        }}
      />
      <Choice
        name="panel"
        title="Labels, marks and display"
        values={SIDES}
        words={SIDE_WORDS}
        chosen={panel.value}
        choose={(value) => {
          store.set({ panel: value });
        }}
      />
      <p class="hint">Kept in this browser.</p>
    </>
  );
}

interface ChoiceProps<T extends string> {
  readonly name: string;
  readonly title: string;
  readonly values: readonly T[];
  readonly words: Readonly<Record<T, string>>;
  readonly chosen: T;
  readonly choose: (value: T) => void;
}

function Choice<T extends string>({ name, title, values, words, chosen, choose }: ChoiceProps<T>) {
  return (
    <fieldset class="choices">
      <legend>{title}</legend>
      {values.map((value) => (
        <label key={value}>
          <input
            type="radio"
            name={`settings-${name}`}
            value={value}
            checked={value === chosen}
            onChange={() => {
              choose(value);
            }}
          />
          {words[value]}
        </label>
      ))}
    </fieldset>
  );
}
