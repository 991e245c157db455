/** Dialogs whose content is made of components. */

import { type ComponentChild, render } from "preact";
import { h } from "../dom";
import { dialog } from "./dialogs";

/** Show a dialog with components in it, unless one of this name is open; they may close it. */
export function showRendered(name: string, title: string, content: (close: () => void) => ComponentChild): void {
  if (document.querySelector(`dialog.${name}`) !== null) return;
  const place = h("div", {});
  const element = dialog(title, place);
  element.classList.add(name);
  const close = (): void => {
    element.close();
  };
  render(content(close), place);
  element.addEventListener("close", () => {
    render(null, place);
  });
}
