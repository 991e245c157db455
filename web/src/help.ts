/** The list of shortcuts, and what the mouse does. */

import { logout } from "./api";
import type { Actions } from "./actions";
import { h } from "./dom";
import { phrases } from "./phrases";
import { keyNames } from "./shortcut";
import { reportErrors } from "./toasts";
import { dialog } from "./views/dialogs";
import { startTour } from "./views/tour";

const SAY = phrases.help;
const MOUSE: readonly (readonly [string, string])[] = [
  [SAY.left, SAY.leftDoes],
  [SAY.shiftLeft, SAY.shiftLeftDoes],
  [SAY.ctrlLeft, SAY.ctrlLeftDoes],
  [SAY.rightDrag, SAY.rightDragDoes],
  [SAY.middleDrag, SAY.middleDragDoes],
  [SAY.wheel, SAY.wheelDoes],
  [SAY.ctrlWheel, SAY.ctrlWheelDoes],
  [SAY.doubleClick, SAY.doubleClickDoes],
  [SAY.eraser, SAY.eraserDoes],
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
      ...pairs.map(([keys, what]) => h("div", {}, h("dt", { dir: "ltr" }, ...caps(keys)), h("dd", {}, what))),
    );
  const element = dialog(
    SAY.title,
    h(
      "div",
      { class: "help-columns" },
      h("section", {}, h("h3", {}, SAY.keyboard), rows(shortcuts.map(({ shown, what }) => [keyNames(shown), what]))),
      h("section", {}, h("h3", {}, SAY.mouse), rows(MOUSE)),
    ),
    h(
      "p",
      { class: "hint" },
      h("a", { href: "./THIRD_PARTY.txt", target: "_blank" }, SAY.licences),
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
        phrases.tour.start,
      ),
      " · ",
      h("button", { type: "button", class: "link", onclick: leave }, SAY.logOut),
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
  return keys
    .split(/( \+ |(?<=\w)\+(?=.)|, )/)
    .map((part, i) => (i % 2 === 1 ? part.trim() + " " : h("kbd", {}, part)));
}
