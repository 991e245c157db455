/** The list of shortcuts, and what the mouse does. */

import { logout } from "./api";
import type { Actions } from "./actions";
import { h } from "./dom";
import { reportErrors } from "./toasts";
import { dialog } from "./views/dialogs";
import { startTour } from "./views/tour";

const MOUSE: readonly (readonly [string, string])[] = [
  ["Left button", "the chosen tool"],
  ["Shift + left", "the same with the other sign"],
  ["Ctrl + left", "move the crosshair (pan a single slice)"],
  ["Right drag", "window and level"],
  ["Middle drag, Space + drag", "pan"],
  ["Wheel", "slices (zoom on a single slice)"],
  ["Ctrl + wheel", "zoom"],
  ["Double-click a label", "rename it"],
];

export function showHelp(
  actions: Actions,
  shortcuts: readonly { readonly shown: string; readonly what: string }[],
): void {
  if (document.querySelector("dialog.help") !== null) return;
  const rows = (pairs: readonly (readonly [string, string])[]): HTMLElement =>
    h(
      "dl",
      { class: "shortcuts" },
      ...pairs.flatMap(([keys, what]) => [h("dt", {}, ...caps(keys)), h("dd", {}, what)]),
    );
  const element = dialog(
    "Shortcuts",
    h(
      "div",
      { class: "help-columns" },
      h("section", {}, h("h3", {}, "Keyboard"), rows(shortcuts.map(({ shown, what }) => [shown, what]))),
      h("section", {}, h("h3", {}, "Mouse"), rows(MOUSE)),
    ),
    h(
      "p",
      { class: "hint" },
      h("a", { href: "./THIRD_PARTY.txt", target: "_blank" }, "Licences of the packages in this page"),
      " · ",
      h(
        "button",
        {
          type: "button",
          class: "link",
          onclick: () => {
            element.close();
            startTour(actions);
          },
        },
        "Tour of a minute",
      ),
      " · ",
      h("button", { type: "button", class: "link", onclick: leave }, "Log out this browser"),
    ),
  );
  element.classList.add("help");
}

/** End the login; the page that comes back says what is needed to log in again. */
function leave(): void {
  reportErrors(async () => {
    await logout();
    location.reload();
  });
}

function caps(keys: string): (Node | string)[] {
  return keys.split(/( \+ |\+(?=.)|, )/).map((part, i) => (i % 2 === 1 ? part.trim() + " " : h("kbd", {}, part)));
}
