/** The keyboard: one table, which the help shows and the page obeys. */

import type { Actions } from "./actions";
import { aim } from "./aiming";
import { CASE_SHORTCUTS } from "./casekeys";
import { isTaken } from "./focus";
import type { Plane } from "./geometry";
import { showHelp } from "./help";
import { phrases } from "./phrases";
import { RULERS } from "./rulers";
import type { Shortcut } from "./shortcut";
import { reportErrors } from "./toasts";
import { toggleLayout } from "./views/layout";

const plain = (event: KeyboardEvent): boolean => !event.ctrlKey && !event.metaKey && !event.altKey;
const letter =
  (...letters: string[]) =>
  (event: KeyboardEvent): boolean =>
    plain(event) && letters.includes(event.key.toLowerCase());
const shifted =
  (key: string) =>
  (event: KeyboardEvent): boolean =>
    event.shiftKey && letter(key)(event);
const control =
  (key: string, shift: boolean) =>
  (event: KeyboardEvent): boolean =>
    (event.ctrlKey || event.metaKey) && event.shiftKey === shift && event.key.toLowerCase() === key;

const NUDGE = 0.1; // of the mask, by a press of a key

const UPRIGHT = ["ArrowUp", "ArrowDown", "PageUp", "PageDown"];
const SIDEWAYS = ["ArrowLeft", "ArrowRight"];

const direction = (key: string): "Up" | "Down" | "Left" | "Right" =>
  key.endsWith("Up") ? "Up" : key.endsWith("Down") ? "Down" : key.endsWith("Left") ? "Left" : "Right";

/** Return the id of the pane with the focus. */
function paneWithFocus(): string | undefined {
  const active = document.activeElement;
  return active instanceof HTMLElement ? active.dataset.pane : undefined;
}

/** Return the plane that keys are for: the one with the focus, the one shown alone, or the first. */
function planeOf({ store }: Actions): Plane | undefined {
  const { opened, layout } = store.state;
  const name = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.plane : undefined;
  const planes = opened?.planes ?? [];
  return planes.find((one) => one.name === (name ?? layout)) ?? planes.at(0);
}

export const SHORTCUTS: readonly Shortcut[] = [
  {
    shown: "Shift+K",
    what: phrases.keys.island,
    matches: shifted("k"),
    act: (actions) => {
      actions.tools.setTool("island");
    },
  },
  {
    shown: "Shift+L",
    what: phrases.keys.threshold,
    matches: shifted("l"),
    act: (actions) => {
      actions.tools.setTool("threshold");
    },
  },
  {
    shown: "C",
    what: phrases.keys.click,
    matches: letter("c"),
    act: (actions) => {
      actions.tools.setTool("click");
    },
  },
  {
    shown: "S",
    what: phrases.keys.stroke,
    matches: letter("s"),
    act: (actions) => {
      actions.tools.setTool("stroke");
    },
  },
  {
    shown: "B",
    what: phrases.keys.box,
    matches: letter("b"),
    act: (actions) => {
      actions.tools.setTool("box");
    },
  },
  {
    shown: "L",
    what: phrases.keys.lasso,
    matches: letter("l"),
    act: (actions) => {
      actions.tools.setTool("lasso");
    },
  },
  {
    shown: "E",
    what: phrases.keys.extremes,
    matches: letter("e"),
    act: (actions) => {
      actions.tools.setTool("extremes");
    },
  },
  {
    shown: "P, Q",
    what: phrases.keys.paint,
    matches: letter("p", "q"),
    act: (actions, { key }) => {
      actions.tools.setTool(key.toLowerCase() === "p" ? "paint" : "erase");
    },
  },
  {
    shown: "K",
    what: phrases.keys.cut,
    matches: letter("k"),
    act: (actions) => {
      actions.tools.setTool("cut");
    },
  },
  {
    shown: ". ,",
    what: phrases.keys.copy,
    matches: (event) => plain(event) && (event.key === "," || event.key === "."),
    act: (actions, { key }) => {
      actions.marks.copySlice(key === "." ? 1 : -1);
    },
  },
  {
    shown: "V",
    what: phrases.keys.navigate,
    matches: letter("v"),
    act: (actions) => {
      actions.tools.setTool("navigate");
    },
  },
  {
    shown: "X",
    what: phrases.keys.sign,
    matches: letter("x"),
    act: ({ store }) => {
      store.set({ positive: !store.state.positive });
    },
  },
  {
    shown: "T",
    what: phrases.keys.turn,
    matches: letter("t"),
    act: (actions) => {
      actions.marks.turnOver();
    },
  },
  {
    shown: "[, ]",
    what: phrases.keys.radius,
    matches: (event) => plain(event) && (event.key === "[" || event.key === "]"),
    act: (actions, { key }) => {
      actions.tools.setRadius(actions.store.state.radius + (key === "]" ? 1 : -1));
    },
  },
  {
    shown: "A",
    what: phrases.keys.fitRadius,
    matches: letter("a"),
    act: (actions) => {
      actions.tools.fitRadius();
    },
  },
  {
    shown: "Ctrl+Z",
    what: phrases.keys.undo,
    matches: control("z", false),
    act: (actions) => {
      actions.history.undo();
    },
  },
  {
    shown: "Ctrl+Shift+Z, Ctrl+Y",
    what: phrases.keys.redo,
    matches: (event) => control("z", true)(event) || control("y", false)(event),
    act: (actions) => {
      actions.history.redo();
    },
  },
  {
    shown: "N",
    what: phrases.keys.addLabel,
    matches: letter("n"),
    act: (actions) => {
      actions.labels.add();
    },
  },
  {
    shown: "J",
    what: phrases.keys.nextObject,
    matches: letter("j"),
    act: (actions) => {
      actions.labels.nextObject();
    },
  },
  {
    shown: "1–9",
    what: phrases.keys.label,
    matches: (event) => plain(event) && !event.shiftKey && /^Digit[1-9]$|^Numpad[1-9]$/.test(event.code),
    act: (actions, { code }) => {
      const label = actions.store.state.labels.at(Number(code.slice(-1)) - 1);
      if (label !== undefined) actions.labels.select(label.value);
    },
  },
  {
    shown: phrases.keys.moveLabelKeys,
    what: phrases.keys.moveLabel,
    matches: () => false, // its row obeys
    act: () => undefined,
  },
  {
    shown: "<, >",
    what: phrases.keys.time,
    matches: (event) => !event.ctrlKey && !event.metaKey && !event.altKey && (event.key === "<" || event.key === ">"),
    act: (actions, { key }) => {
      actions.images.stepTime(key === ">" ? 1 : -1);
    },
  },
  {
    shown: "U",
    what: phrases.keys.lockSlice,
    matches: letter("u"),
    act: (actions) => {
      actions.marks.lockSlice(paneWithFocus() === undefined ? undefined : planeOf(actions), paneWithFocus());
    },
  },
  {
    shown: "+, −",
    what: phrases.keys.nudge,
    matches: (event) => plain(event) && (event.key === "+" || event.key === "-"),
    act: (actions, { key }) => {
      actions.nudging.nudge(key === "+" ? NUDGE : -NUDGE);
    },
  },
  {
    shown: "Z",
    what: phrases.keys.reach,
    matches: letter("z"),
    act: (actions) => {
      actions.tools.stepReach();
    },
  },
  {
    shown: "Shift+[, Shift+]",
    what: phrases.keys.reachMm,
    matches: (event) => plain(event) && event.shiftKey && ["BracketLeft", "BracketRight"].includes(event.code),
    act: (actions, { code }) => {
      actions.tools.setReachMm(actions.store.state.reachMm + (code === "BracketRight" ? 1 : -1));
    },
  },
  {
    shown: "H",
    what: phrases.keys.mask,
    matches: letter("h"),
    act: ({ store }) => {
      store.set({ masked: !store.state.masked });
    },
  },
  {
    shown: "O",
    what: phrases.keys.outline,
    matches: letter("o"),
    act: ({ store }) => {
      store.set({ outline: !store.state.outline });
    },
  },
  {
    shown: "I",
    what: phrases.keys.smooth,
    matches: letter("i"),
    act: ({ store }) => {
      store.set({ smooth: !store.state.smooth });
    },
  },
  {
    shown: "D",
    what: phrases.keys.uncertainty,
    matches: letter("d"),
    act: ({ store }) => {
      store.set({ uncertain: !store.state.uncertain });
    },
  },
  {
    shown: "G",
    what: phrases.keys.look,
    matches: letter("g"),
    act: (actions) => {
      reportErrors(() => actions.views.look());
    },
  },
  {
    shown: "↑, ↓",
    what: phrases.keys.slices,
    matches: (event) => plain(event) && !event.shiftKey && UPRIGHT.includes(event.key),
    act: (actions, event) => {
      const plane = planeOf(actions);
      if (plane === undefined) return;
      const by = (event.key.endsWith("Up") ? 1 : -1) * (event.key.startsWith("Page") ? 10 : 1);
      if (actions.store.state.opened?.planes.length === 1) aim(actions, plane, [0, -by], event.repeat, paneWithFocus());
      else actions.views.scroll(plane.normal, by, paneWithFocus());
    },
  },
  {
    shown: "←, →",
    what: phrases.keys.aim,
    matches: (event) =>
      plain(event) && (SIDEWAYS.includes(event.key) || (event.shiftKey && UPRIGHT.includes(event.key))),
    act: (actions, event) => {
      const plane = planeOf(actions);
      if (plane === undefined) return;
      const by = event.key.startsWith("Page") ? 10 : 1;
      const steps = { Left: [-by, 0], Right: [by, 0], Up: [0, -by], Down: [0, by] } as const;
      aim(actions, plane, steps[direction(event.key)], event.repeat, paneWithFocus());
    },
  },
  {
    shown: "Enter",
    what: phrases.keys.enter,
    matches: (event) =>
      plain(event) && event.key === "Enter" && !event.repeat && document.activeElement instanceof HTMLCanvasElement,
    act: (actions, { shiftKey }) => {
      const { crosshair, positive } = actions.store.state;
      actions.marks.place({ kind: "click", index: crosshair, positive: positive !== shiftKey });
    },
  },
  {
    shown: "W",
    what: phrases.keys.window,
    matches: letter("w"),
    act: (actions, { shiftKey }) => {
      actions.views.stepWindow(shiftKey ? -1 : 1);
    },
  },
  {
    shown: "Shift+1–7",
    what: phrases.keys.windows,
    matches: (event) => plain(event) && event.shiftKey && /^Digit[1-7]$/.test(event.code),
    act: (actions, { code }) => {
      actions.views.setWindow(Number(code.slice(-1)));
    },
  },
  {
    shown: "M",
    what: phrases.keys.measure,
    matches: letter("m"),
    act: (actions) => {
      const now = RULERS.findIndex((kind) => kind === actions.store.state.tool);
      actions.tools.setTool(RULERS[(now + 1) % RULERS.length]);
    },
  },
  {
    shown: "Y",
    what: phrases.keys.crosshair,
    matches: letter("y"),
    act: ({ store }) => {
      store.set({ crosshairs: !store.state.crosshairs });
    },
  },
  { shown: "F", what: phrases.keys.layout, matches: letter("f"), act: toggleLayout },
  {
    shown: "R",
    what: phrases.keys.fit,
    matches: letter("r"),
    act: ({ store }) => {
      store.set({ views: {} });
    },
  },
  {
    shown: "Esc",
    what: phrases.keys.escape,
    matches: (event) => event.key === "Escape",
    act: ({ store }) => {
      store.set({ points: [], cut: [], leg: null }); // a gesture under way listens itself
    },
  },
  ...CASE_SHORTCUTS,
  {
    shown: "?",
    what: phrases.keys.help,
    always: true,
    matches: (event) => event.key === "?",
    act: (actions) => {
      showHelp(actions, SHORTCUTS);
    },
  },
];

/** Obey the table, except while someone writes or answers a question. */
export function listenToKeys(actions: Actions): void {
  window.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isTaken(event.target, event) || document.querySelector("dialog[open]") !== null)
      return;
    const shortcut = SHORTCUTS.find(({ matches }) => matches(event));
    if (shortcut === undefined || (actions.store.state.opened === null && shortcut.always !== true)) return;
    if (event.key !== "Escape") event.preventDefault();
    shortcut.act(actions, event);
  });
}
