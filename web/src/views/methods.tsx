/** What each method is good for, in a sentence: to choose one, or to see what it makes of the marks that are there. */

import "../help.css";
import { render } from "preact";
import type { Actions } from "../actions";
import type { Method } from "../api";
import { boundsOf } from "../bits";
import { h } from "../dom";
import { groupsOf } from "../methods";
import { marksOf, methodsFor } from "../state";
import { reportErrors } from "../toasts";
import { dialog } from "./dialogs";

export function showMethods(actions: Actions): void {
  if (document.querySelector("dialog.methods") !== null) return;
  const place = h("div", {});
  const element = dialog("Methods", place);
  element.classList.add("methods");
  render(
    <Methods
      actions={actions}
      close={() => {
        element.close();
      }}
    />,
    place,
  );
  element.addEventListener("close", () => {
    render(null, place);
  });
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
        <b>{title}</b>
        <span>{good_for === "" ? `Takes ${prompts.join(", ")}.` : good_for}</span>
      </div>
      <button
        type="button"
        class="button small"
        aria-label={`Use ${title}`}
        disabled={id === state.method || state.opened === null}
        onClick={() => {
          actions.setMethod(id);
          close();
        }}
      >
        {id === state.method ? "In use" : "Use"}
      </button>
      <button
        type="button"
        class="button small"
        aria-label={`Compare ${title}`}
        title={
          marked
            ? "Show where its mask of the same marks differs from this one"
            : "Put down a mark first: methods are compared on the same marks"
        }
        disabled={!marked}
        onClick={() => {
          close();
          reportErrors(() => actions.compare(id));
        }}
      >
        Compare
      </button>
    </li>
  );
  const masked = state.opened !== null && boundsOf(state.opened.map, state.label) !== null;
  return (
    <>
      <div class="methods-list">
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
            reportErrors(() => actions.watchRobot());
          }}
        >
          Watch a robot
        </button>
        <p class="hint">
          It takes the selected label’s mask for the right one, clicks where the method in use is wrong, and draws the
          Dice after each click. Nothing of it is kept.
        </p>
      </div>
    </>
  );
}
