/**
 * Buttons of one group as one stop of the Tab key: arrows go from one to the next, Home and End to the first and last.
 * The one that had the focus last keeps the stop, until then the one that is pressed.
 */

const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** Return which of so many buttons a key goes to from one of them; null for a key that goes nowhere. */
export function goalOf(key: string, from: number, count: number, fromRight = false): number | null {
  if (count === 0) return null;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const mirrored = fromRight && (key === "ArrowLeft" || key === "ArrowRight");
  const step = STEPS[key] as number | undefined;
  return step === undefined ? null : (from + (mirrored ? -step : step) + count) % count;
}

/** Make the buttons in a group one stop of the Tab key, those that come later, too. */
export function rove(group: HTMLElement): void {
  let last: HTMLButtonElement | null = null;
  const buttons = (): HTMLButtonElement[] => [...group.querySelectorAll("button")];
  const arrange = (): void => {
    const usable = buttons().filter((button) => !button.disabled && !button.hidden);
    const pressed = usable.find((button) => button.getAttribute("aria-pressed") === "true");
    const stop = usable.find((button) => button === last) ?? pressed ?? usable.at(0);
    for (const button of buttons()) {
      const index = button === stop ? "0" : "-1";
      if (button.getAttribute("tabindex") !== index) button.setAttribute("tabindex", index);
    }
  };
  group.addEventListener("focusin", ({ target }) => {
    last = target instanceof HTMLButtonElement ? target : null;
    arrange();
  });
  group.addEventListener("focusout", () => {
    last = null;
    arrange();
  });
  group.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const usable = buttons().filter((button) => !button.disabled && !button.hidden);
    const from = usable.findIndex((button) => button === event.target);
    const goal = from < 0 ? null : goalOf(event.key, from, usable.length, document.dir === "rtl");
    if (goal === null) return;
    event.preventDefault();
    event.stopPropagation();
    usable[goal].focus();
  });
  const changes = { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled", "aria-pressed"] };
  new MutationObserver(arrange).observe(group, changes);
  arrange();
}
