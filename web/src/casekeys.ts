/** The keys of the worklist. */

import { phrases } from "./phrases";
import type { Shortcut } from "./shortcut";
import { reportErrors } from "./toasts";

/** What the search field of the list is called in the page. */
export const SEARCH = "case-search";

const alt = (key: string) => (event: KeyboardEvent) =>
  event.altKey && !event.ctrlKey && !event.metaKey && event.key === key;
const bare = (key: string) => (event: KeyboardEvent) =>
  !event.ctrlKey && !event.metaKey && !event.altKey && event.key === key;

export const CASE_SHORTCUTS: readonly Shortcut[] = [
  {
    shown: "Alt+↓",
    what: phrases.keys.nextCase,
    always: true,
    matches: alt("ArrowDown"),
    act: (actions) => {
      reportErrors(() => actions.work.openNext());
    },
  },
  {
    shown: "Alt+↑",
    what: phrases.keys.previousCase,
    always: true,
    matches: alt("ArrowUp"),
    act: (actions) => {
      reportErrors(() => actions.work.openNext(true));
    },
  },
  {
    shown: "Ctrl+Enter",
    what: phrases.keys.finish,
    matches: (event) => (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "Enter",
    act: (actions) => {
      reportErrors(() => actions.work.finish("done", actions.store.state.work?.comment ?? ""));
    },
  },
  {
    shown: "/",
    what: phrases.keys.search,
    always: true,
    matches: bare("/"),
    act: ({ store }) => {
      store.set({ sidebar: true });
      document.getElementById(SEARCH)?.focus();
    },
  },
];
