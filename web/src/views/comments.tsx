/** What was said of the open case, or of a place in it. */

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import * as api from "../api";
import { fill, phrases } from "../phrases";
import { may } from "../rights";
import { reportErrors } from "../toasts";
import { fieldOf, IconButton } from "./elements";

const SAY = phrases.comments;

export function Comments({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const opened = useMemo(() => fieldOf(store, "opened"), []).value;
  const list = useSignal<readonly api.Comment[]>([]);
  const writing = useSignal(false);
  const text = useSignal("");
  const here = useSignal(true);
  const id = opened?.case.id ?? "";
  const load = async (): Promise<void> => {
    const found = await api.comments(id);
    if (store.state.opened?.case.id === id) list.value = found;
  };
  useEffect(() => {
    list.value = [];
    writing.value = false;
    text.value = "";
    if (id !== "") reportErrors(load);
  }, [id]);
  if (opened === null) return null;
  const { me, crosshair } = store.state;
  const send = (event: Event): void => {
    event.preventDefault();
    reportErrors(async () => {
      await api.addComment(id, text.value, here.value ? store.state.crosshair : null);
      text.value = "";
      writing.value = false;
      await load();
    });
  };
  return (
    <div class="comments">
      {list.value.length > 0 && (
        <ul class="comment-list" aria-label={SAY.list}>
          {list.value.map(({ id: comment, user, text: said, place }) => (
            <li key={comment}>
              <p dir="auto">
                {user !== "" && <b>{user}: </b>}
                {said}
              </p>
              {place !== null && (
                <button
                  type="button"
                  class="link"
                  onClick={() => {
                    const [z, y, x] = place;
                    actions.views.setCrosshair([z, y, x]);
                  }}
                >
                  {fill(SAY.place, { n: place[0] + 1 })}
                </button>
              )}
              {(user === me.name || may(me, "admin", opened.case.project)) && (
                <IconButton
                  name="close"
                  small
                  label={SAY.remove}
                  onClick={() => {
                    reportErrors(async () => {
                      await api.removeComment(id, comment);
                      await load();
                    });
                  }}
                />
              )}
            </li>
          ))}
        </ul>
      )}
      {writing.value ? (
        <form class="comment-form" onSubmit={send}>
          <textarea
            class="text-input"
            rows={2}
            maxLength={2000}
            required
            aria-label={SAY.text}
            value={text.value}
            ref={(element) => {
              if (element !== null && text.value === "") element.focus();
            }}
            onInput={({ currentTarget }) => {
              text.value = currentTarget.value;
            }}
          />
          <label class="check">
            <input
              type="checkbox"
              checked={here.value}
              onChange={({ currentTarget }) => {
                here.value = currentTarget.checked;
              }}
            />
            {fill(SAY.here, { n: crosshair[0] + 1 })}
          </label>
          <div class="comment-buttons">
            <button class="button small primary">{SAY.send}</button>
            <button
              type="button"
              class="button small"
              onClick={() => {
                writing.value = false;
              }}
            >
              {phrases.common.cancel}
            </button>
          </div>
        </form>
      ) : (
        <button
          type="button"
          class="link"
          onClick={() => {
            writing.value = true;
          }}
        >
          {SAY.add}
        </button>
      )}
    </div>
  );
}
