/** Downloading the mask in any of the server's formats; the dialog of results has the rest. */

import type { Actions } from "./actions";
import * as api from "./api";
import { h, icon, refill } from "./dom";
import { entries } from "./formats";
import { fill, phrases } from "./phrases";
import type { State } from "./state";
import { may } from "./rights";
import { reportErrors, toast } from "./toasts";
import { hasArchives, showSend } from "./views/archive";
import { showResults } from "./views/results";

/** Return the button and its menu of formats. */
export function downloadMenu(actions: Actions): HTMLElement {
  const store = actions.store;
  const list = h("ul", { class: "menu", id: "download-menu", popover: "auto" });
  const button = h(
    "button",
    { type: "button", class: "button primary", popovertarget: "download-menu", "aria-haspopup": "true" },
    icon("download"),
    h("span", {}, phrases.common.download),
  );
  list.addEventListener("toggle", () => {
    if (!list.matches(":popover-open")) return;
    refresh(store.state);
    const box = button.getBoundingClientRect();
    const zoom = "currentCSSZoom" in list ? list.currentCSSZoom : 1; // on displays of very many pixels
    list.style.top = `${box.bottom / zoom + 6}px`;
    list.style.right = `${Math.max(8, (window.innerWidth - box.right) / zoom)}px`;
    list.querySelector("button")?.focus();
  });
  list.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll("button")];
    const at = items.indexOf(document.activeElement as HTMLButtonElement);
    const next = event.key === "ArrowDown" ? at + 1 : event.key === "ArrowUp" ? at - 1 : null;
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    items[(next + items.length) % items.length]?.focus();
  });
  const refresh = ({ opened, formats, me }: Pick<State, "opened" | "formats" | "me">): void => {
    const takes = opened !== null && may(me, "reviewer", opened.case.project); // more than this session's mask
    refill(list, [
      ...entries(formats, opened?.case.source ?? false, opened?.volume.shape[0] === 1).map(
        ({ suffix, title, patient }) =>
          h(
            "li",
            {},
            h(
              "button",
              {
                type: "button",
                class: "menu-item",
                "data-format": suffix,
                "data-patient": patient,
                onclick: () => {
                  list.hidePopover();
                  reportErrors(() => download(actions, suffix, patient));
                },
              },
              h("span", {}, title),
              h("code", {}, suffix),
            ),
          ),
      ),
      takes &&
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "menu-item more",
              onclick: () => {
                list.hidePopover();
                showResults(actions);
              },
            },
            h("span", {}, phrases.results.more),
          ),
        ),
      opened !== null &&
        takes &&
        opened.case.source &&
        hasArchives() &&
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "menu-item",
              onclick: () => {
                list.hidePopover();
                showSend(actions);
              },
            },
            h("span", {}, phrases.archive.sendMenu),
          ),
        ),
    ]);
  };
  store.on(["opened", "formats", "me"], refresh);
  store.on(["opened", "formats"], ({ opened, formats }) => {
    button.disabled = opened === null || formats.length === 0;
  });
  return h("div", { class: "download" }, button, list);
}

/** Have the browser save a file. */
export function saveFile(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}

async function download({ store }: Actions, suffix: string, patient: api.Patient): Promise<void> {
  const { opened } = store.state;
  if (opened === null) return;
  store.set({ loading: { text: fill(phrases.results.writing, { suffix }), fraction: null } });
  try {
    const { blob, name } = await api.exportMask(opened.session, suffix, patient);
    saveFile(blob, name);
    toast(fill(phrases.results.downloaded, { name }), "good");
  } finally {
    store.set({ loading: null });
  }
}
