/**
 * Who gets the keys. A control that was used with the pointer gives the focus back to the picture, so that Space, Enter
 * and letters mean the picture again; one that was reached by keys keeps it, and a list that is open has all keys.
 */

const CONTROLS = "button, input[type=checkbox], input[type=range], summary";
const MOVING = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"];
const OWN = new Set([...MOVING, "Enter", " ", "Escape"]); // of a list or a slider that has the focus

let picture: HTMLElement | null = null; // that had the focus last
let pointing = false; // the pointer was used after the Tab key

/** Follow the focus and the pointer. */
export function watchFocus(): void {
  document.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLCanvasElement) picture = target;
  });
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && event.target instanceof Element) release(event.target.closest(CONTROLS));
  });
  window.addEventListener("pointermove", ({ target }) => {
    pointing = true;
    const active = document.activeElement; // a list that was closed without a choice keeps the focus
    if (target instanceof HTMLCanvasElement && active instanceof HTMLSelectElement && !isOpen(active)) release(active);
  });
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Tab") pointing = false;
      if (event.key === " " && pansWithSpace(event.target)) {
        event.preventDefault(); // or the button that has the focus would be pressed when the key is released
        release(document.activeElement);
      }
    },
    { capture: true },
  );
}

/** Take the focus from a control, or from the one that took its place when its list was drawn anew. */
function release(control: Element | null): void {
  const active = document.activeElement;
  if (!(control instanceof HTMLElement) || !(active instanceof HTMLElement)) return;
  if (active instanceof HTMLCanvasElement || active.closest("dialog") !== null) return;
  const { key } = control.dataset;
  if (active !== control && (key === undefined || active.dataset.key !== key)) return;
  if (picture?.isConnected) picture.focus({ preventScroll: true });
  else active.blur();
}

/** Say whether Space is for moving the picture under the pointer, and not for what has the focus. */
function pansWithSpace(target: EventTarget | null): boolean {
  if (isText(target) || document.querySelector("dialog[open]") !== null) return false;
  return pointing && document.querySelector(".pane:hover") !== null;
}

/** Say whether what has the focus wants a key for itself. */
export function isTaken(target: EventTarget | null, { key }: Pick<KeyboardEvent, "key">): boolean {
  if (isText(target)) return true;
  if (target instanceof HTMLSelectElement) return isOpen(target) || OWN.has(key);
  if (target instanceof HTMLInputElement && target.type === "range") return MOVING.includes(key);
  if (target instanceof HTMLInputElement || target instanceof HTMLButtonElement) return key === "Enter" || key === " ";
  return false;
}

function isText(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "color"].includes(target.type);
  return target instanceof HTMLTextAreaElement;
}

function isOpen(list: HTMLSelectElement): boolean {
  try {
    return list.matches(":open");
  } catch {
    return false; // an older browser, whose open list gets the keys before the page does
  }
}
