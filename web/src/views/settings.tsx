/** What a person likes of the page: its language, its colours, the side of the panel. It is kept in the browser. */

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { SIDES, THEMES } from "../themes";
import { fieldOf } from "./elements";
import { showRendered } from "./rendered";
import { fill, type Language, LANGUAGES, phrases } from "../phrases";
import { prefer, preferences } from "../preferences";

const SAY = phrases.settings;

export function showSettings(actions: Actions): void {
  showRendered("settings", SAY.title, () => <Settings actions={actions} />);
}

function Settings({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const [theme, panel] = useMemo(() => [fieldOf(store, "theme"), fieldOf(store, "panel")], []);
  const { me } = store.state;
  return (
    <>
      {me.name !== "" && (
        <p class="hint settings-you">
          {me.everywhere === null
            ? fill(phrases.members.youNone, { name: me.name })
            : fill(phrases.members.you, { name: me.name, role: phrases.members[me.everywhere] })}
        </p>
      )}
      <Choice
        name="theme"
        title={SAY.colours}
        values={THEMES}
        words={SAY}
        chosen={theme.value}
        choose={(value) => {
          store.set({ theme: value });
        }}
      />
      <Choice
        name="panel"
        title={SAY.panel}
        values={SIDES}
        words={SAY}
        chosen={panel.value}
        choose={(value) => {
          store.set({ panel: value });
        }}
      />
      <LanguageChoice />
      <p class="hint">{SAY.kept}</p>
    </>
  );
}

/** The language is chosen, and then changed by a button: that loads the page again. */
function LanguageChoice() {
  const kept = preferences().language;
  const wanted = useSignal<Language | undefined>(kept);
  const change = (event: Event): void => {
    event.preventDefault();
    prefer({ language: wanted.value });
    location.reload();
  };
  return (
    <form class="choices" onSubmit={change}>
      <label for="settings-language" class="choices-title">
        {SAY.language}
      </label>
      <div class="choices-row">
        <select
          id="settings-language"
          class="select"
          onChange={({ currentTarget: { value } }) => {
            wanted.value = value === "" ? undefined : (value as Language);
          }}
        >
          <option value="" selected={wanted.value === undefined}>
            {SAY.languageSystem}
          </option>
          {Object.entries(LANGUAGES).map(([value, name]) => (
            <option key={value} value={value} lang={value} selected={wanted.value === value}>
              {name}
            </option>
          ))}
        </select>
        <button class="button" disabled={wanted.value === kept}>
          {SAY.languageUse}
        </button>
      </div>
      <p class="hint">{SAY.languageHint}</p>
    </form>
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
