/** How far the open case is, and on to the next: done, rejected, opened again. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { h, set } from "../dom";
import { fill, phrases, plural } from "../phrases";
import { may } from "../rights";
import { reportErrors } from "../toasts";
import { duration, STATUS_WORDS } from "../worklist";
import { Comments } from "./comments";
import { dialog } from "./dialogs";
import { fieldOf } from "./elements";
import { CaseReading } from "./reading";

const SAY = phrases.case;

export function casePanel(actions: Actions): HTMLElement {
  const element = h("section", { class: "section case-work", "aria-label": SAY.title });
  render(<CaseWork actions={actions} />, element);
  actions.store.on(["work"], ({ work }) => {
    set(element, "hidden", work === null);
  });
  return element;
}

function CaseWork({ actions }: { readonly actions: Actions }) {
  const field = useMemo(() => fieldOf(actions.store, "work"), []);
  const work = field.value;
  if (work === null) return null;
  const finished = work.status !== "untouched" && work.status !== "begun";
  const { me } = actions.store.state;
  const reviews = may(me, "reviewer", work.project);
  const read = work.reading !== null && work.reading.state !== "decided" ? work.reading : null;
  const judged = read !== null && read.mine === null; // others read it: it is accepted or rejected, when they are done
  const accepts = reviews && !me.alone && work.status !== "accepted" && (judged || work.status === "done");
  const reopens = finished && (work.status !== "accepted" || reviews) && !judged;
  const accept = (
    <button
      type="button"
      class="button small primary"
      disabled={judged && read.state !== "finished"}
      title={judged && read.state !== "finished" ? phrases.reading.notFinished : SAY.acceptTitle}
      onClick={() => {
        reportErrors(() => actions.work.finish("accepted", work.comment));
      }}
    >
      {SAY.accept}
    </button>
  );
  const reject = (
    <button
      type="button"
      class="button small"
      disabled={judged && read.state !== "finished"}
      onClick={() => {
        rejectDialog(actions, work.comment);
      }}
    >
      {SAY.reject}
    </button>
  );
  const time = work.seconds >= 1 ? duration(work.seconds) : "";
  const marks = work.interactions === 0 ? "" : plural(SAY.steps, work.interactions);
  const by = work.status_by === "" ? "" : fill(SAY.by, { name: work.status_by });
  const step = (back: boolean, words: string, shortcut: string, arrow: string) => (
    <button
      type="button"
      class="icon-button small"
      aria-label={words}
      title={`${words} (${shortcut})`}
      onClick={() => {
        reportErrors(() => actions.work.openNext(back));
      }}
    >
      <span aria-hidden="true">{arrow}</span>
    </button>
  );
  return (
    <>
      <div class="case-work-head">
        <span class={`case-state ${work.status}`} role="status">
          {STATUS_WORDS[work.status]}
        </span>
        <span class="hint">{[by, marks, time].filter((part) => part !== "").join("  ·  ")}</span>
        <span class="spacer" />
        {step(true, SAY.previous, "Alt+↑", "‹")}
        {step(false, SAY.next, "Alt+↓", "›")}
      </div>
      {work.comment !== "" && <p class="case-comment">{work.comment}</p>}
      <CaseReading actions={actions} />
      <Comments actions={actions} />
      <div class="case-work-buttons">
        {reopens && (
          <button
            type="button"
            class="button small"
            onClick={() => {
              reportErrors(() => actions.work.reopen());
            }}
          >
            {SAY.reopen}
          </button>
        )}
        {accepts && accept}
        {judged && reviews && reject}
        {!finished && !judged && (
          <>
            <button
              type="button"
              class="button small primary"
              title={read === null ? SAY.doneTitle : phrases.reading.doneTitle}
              onClick={() => {
                reportErrors(() => actions.work.finish("done", work.comment));
              }}
            >
              {SAY.done}
            </button>
            {read === null && reject}
          </>
        )}
      </div>
    </>
  );
}

function rejectDialog(actions: Actions, comment: string): void {
  const text = h("textarea", { id: "reject-comment", class: "text-input", rows: 3, maxlength: 1000 });
  text.value = comment;
  const form = h(
    "form",
    {},
    h("p", {}, SAY.rejectText),
    h("label", { for: "reject-comment" }, SAY.rejectWhy),
    text,
    h("div", { class: "dialog-buttons" }, h("button", { class: "button primary" }, SAY.rejectButton)),
  );
  const element = dialog(SAY.rejectTitle, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    element.close();
    reportErrors(() => actions.work.finish("rejected", text.value.trim()));
  });
  text.focus();
}
