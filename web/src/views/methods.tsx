/** What each method is good for, in a sentence: to choose one, or to see what it makes of the marks that are there. */

import "../help.css";
import type { Actions } from "../actions";
import type { Method } from "../api";
import { boundsOf } from "../bits";
import { groupsOf } from "../methods";
import { fill, nameOfPrompt, phrases } from "../phrases";
import { marksOf, methodsFor } from "../state";
import { reportErrors } from "../toasts";
import { showRendered } from "./rendered";

const SAY = phrases.methods;

export function showMethods(actions: Actions): void {
  showRendered("methods", SAY.title, (close) => <Methods actions={actions} close={close} />);
}

interface Props {
  readonly actions: Actions;
  readonly close: () => void;
}

function Methods({ actions, close }: Props) {
  const { state } = actions.store;
  const flat = state.opened?.volume.shape[0] === 1;
  const usable = state.opened === null ? state.methods : methodsFor(state.methods, flat, null);
  const marked = marksOf(state).some(({ event }) => event.event === "prompted" && event.label === state.label);
  const row = ({ id, title, good_for, prompts }: Method) => (
    <li key={id} class={id === state.method ? "current" : ""}>
      <div>
        <b lang="en">{title}</b>
        <span dir="auto">
          {good_for === ""
            ? fill(SAY.takes, { prompts: prompts.map(nameOfPrompt).join(phrases.common.comma) })
            : good_for}
        </span>
      </div>
      <button
        type="button"
        class="button small"
        aria-label={fill(SAY.useLabel, { method: title })}
        disabled={id === state.method || state.opened === null}
        onClick={() => {
          actions.tools.setMethod(id);
          close();
        }}
      >
        {id === state.method ? SAY.inUse : SAY.use}
      </button>
      <button
        type="button"
        class="button small"
        aria-label={fill(SAY.compareLabel, { method: title })}
        title={marked ? SAY.compareTitle : SAY.compareFirst}
        disabled={!marked}
        onClick={() => {
          close();
          reportErrors(() => actions.previews.compare(id));
        }}
      >
        {SAY.compare}
      </button>
    </li>
  );
  const masked =
    state.opened !== null && boundsOf(state.opened.maps.ofLabel(state.labels, state.label), state.label) !== null;
  return (
    <>
      <div class="methods-list" role="region" aria-label={SAY.title} tabIndex={0}>
        {groupsOf(usable).map(([name, methods]) => (
          <section key={name}>
            {name !== "" && <h3>{name}</h3>}
            <ul>{methods.map(row)}</ul>
          </section>
        ))}
      </div>
      <div class="methods-robot">
        <button
          type="button"
          class="button small"
          disabled={!masked}
          onClick={() => {
            close();
            reportErrors(() => actions.previews.watchRobot());
          }}
        >
          {SAY.watch}
        </button>
        <p class="hint">{SAY.watchHint}</p>
      </div>
    </>
  );
}
