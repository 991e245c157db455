/** The keyboard: one table, which the help shows and the page obeys. */

import type { Actions } from "./actions";
import { showHelp } from "./help";
import { reportErrors } from "./toasts";
import { toggleLayout } from "./views/layout";

interface Shortcut {
  readonly shown: string;
  readonly what: string;
  readonly matches: (event: KeyboardEvent) => boolean;
  readonly act: (actions: Actions, event: KeyboardEvent) => void;
}

const plain = (event: KeyboardEvent): boolean => !event.ctrlKey && !event.metaKey && !event.altKey;
const letter =
  (...letters: string[]) =>
  (event: KeyboardEvent): boolean =>
    plain(event) && letters.includes(event.key.toLowerCase());
const control =
  (key: string, shift: boolean) =>
  (event: KeyboardEvent): boolean =>
    (event.ctrlKey || event.metaKey) && event.shiftKey === shift && event.key.toLowerCase() === key;

export const SHORTCUTS: readonly Shortcut[] = [
  {
    shown: "C",
    what: "click",
    matches: letter("c"),
    act: (actions) => {
      actions.setTool("click");
    },
  },
  {
    shown: "S",
    what: "stroke",
    matches: letter("s"),
    act: (actions) => {
      actions.setTool("stroke");
    },
  },
  {
    shown: "B",
    what: "box",
    matches: letter("b"),
    act: (actions) => {
      actions.setTool("box");
    },
  },
  {
    shown: "L",
    what: "lasso",
    matches: letter("l"),
    act: (actions) => {
      actions.setTool("lasso");
    },
  },
  {
    shown: "E",
    what: "extreme points",
    matches: letter("e"),
    act: (actions) => {
      actions.setTool("extremes");
    },
  },
  {
    shown: "V",
    what: "move and look",
    matches: letter("v"),
    act: (actions) => {
      actions.setTool("navigate");
    },
  },
  {
    shown: "X",
    what: "turn the sign over",
    matches: letter("x"),
    act: ({ store }) => {
      store.set({ positive: !store.state.positive });
    },
  },
  {
    shown: "[, ]",
    what: "thinner or thicker stroke",
    matches: (event) => plain(event) && (event.key === "[" || event.key === "]"),
    act: (actions, { key }) => {
      actions.setRadius(actions.store.state.radius + (key === "]" ? 1 : -1));
    },
  },
  {
    shown: "Ctrl+Z",
    what: "undo",
    matches: control("z", false),
    act: (actions) => {
      actions.undo();
    },
  },
  {
    shown: "Ctrl+Shift+Z, Ctrl+Y",
    what: "redo",
    matches: (event) => control("z", true)(event) || control("y", false)(event),
    act: (actions) => {
      actions.redo();
    },
  },
  {
    shown: "N",
    what: "new label",
    matches: letter("n"),
    act: (actions) => {
      actions.addLabel();
    },
  },
  {
    shown: "1–9",
    what: "choose a label",
    matches: (event) => plain(event) && /^[1-9]$/.test(event.key),
    act: (actions, { key }) => {
      const label = actions.store.state.labels.at(Number(key) - 1);
      if (label !== undefined) actions.select(label.value);
    },
  },
  {
    shown: "H",
    what: "hide or show the mask",
    matches: letter("h"),
    act: ({ store }) => {
      store.set({ masked: !store.state.masked });
    },
  },
  {
    shown: "O",
    what: "outline on or off",
    matches: letter("o"),
    act: ({ store }) => {
      store.set({ outline: !store.state.outline });
    },
  },
  {
    shown: "I",
    what: "smooth or plain voxels",
    matches: letter("i"),
    act: ({ store }) => {
      store.set({ smooth: !store.state.smooth });
    },
  },
  {
    shown: "D",
    what: "show or hide uncertainty",
    matches: letter("d"),
    act: ({ store }) => {
      store.set({ uncertain: !store.state.uncertain });
    },
  },
  {
    shown: "G",
    what: "go to the next uncertain place",
    matches: letter("g"),
    act: (actions) => {
      reportErrors(() => actions.look());
    },
  },
  {
    shown: "↑, ↓",
    what: "slice by slice",
    matches: (event) => plain(event) && ["ArrowUp", "ArrowDown", "PageUp", "PageDown"].includes(event.key),
    act: (actions, { key }) => {
      const { opened, layout } = actions.store.state;
      const name = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.plane : undefined;
      const planes = opened?.planes ?? [];
      const plane = planes.find((one) => one.name === (name ?? layout)) ?? planes.at(0);
      if (plane === undefined) return;
      actions.scroll(plane.normal, (key.endsWith("Up") ? 1 : -1) * (key.startsWith("Page") ? 10 : 1));
    },
  },
  {
    shown: "Enter",
    what: "mark the voxel at the crosshair",
    matches: (event) => plain(event) && event.key === "Enter" && document.activeElement instanceof HTMLCanvasElement,
    act: (actions) => {
      const { crosshair, positive } = actions.store.state;
      actions.place({ kind: "click", index: crosshair, positive });
    },
  },
  { shown: "F", what: "one plane alone, or all", matches: letter("f"), act: toggleLayout },
  {
    shown: "R",
    what: "fit the views",
    matches: letter("r"),
    act: ({ store }) => {
      store.set({ views: {} });
    },
  },
  {
    shown: "Esc",
    what: "call off a stroke, a box or points",
    matches: (event) => event.key === "Escape",
    act: ({ store }) => {
      store.set({ points: [] }); // a gesture under way listens itself
    },
  },
  {
    shown: "?",
    what: "this list",
    matches: (event) => event.key === "?",
    act: () => {
      showHelp(SHORTCUTS);
    },
  },
];

/** Obey the table, except while someone writes or answers a question. */
export function listenToKeys(actions: Actions): void {
  window.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || writing(event.target) || document.querySelector("dialog[open]") !== null) return;
    const shortcut = SHORTCUTS.find(({ matches }) => matches(event));
    if (shortcut === undefined || (actions.store.state.opened === null && shortcut.shown !== "?")) return;
    if (event.key !== "Escape") event.preventDefault();
    shortcut.act(actions, event);
  });
}

function writing(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["checkbox", "range", "color"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
