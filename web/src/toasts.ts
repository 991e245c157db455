/** Short messages at the edge of the page, read aloud by screen readers; errors stay until they are read. */

import { h, icon } from "./dom";
import { phrases } from "./phrases";

export type ToastKind = "error" | "info" | "good";

const region = (kind: "assertive" | "polite"): HTMLElement =>
  h("div", { class: "toasts", role: kind === "assertive" ? "alert" : "status", "aria-live": kind });

const polite = region("polite");
const assertive = region("assertive");
export const toastRegion = h("div", { class: "toast-corner" }, assertive, polite);

/** What stays until somebody has read it; perhaps with a button. */
export interface Staying {
  readonly words?: string; // on the button
  readonly act?: () => void;
}

/** Show a message: errors for twelve seconds, others for four, longer while the pointer rests on it; or until it is read. */
export function toast(text: string, kind: ToastKind = "info", staying?: Staying): void {
  const host = kind === "error" ? assertive : polite;
  const twin = [...host.children].find((child) => (child as HTMLElement).dataset.text === text);
  twin?.remove();
  const dismiss = h(
    "button",
    { type: "button", class: "icon-button small", "aria-label": phrases.common.dismiss },
    icon("close"),
  );
  const card = h(
    "div",
    { class: `toast ${kind}`, "data-text": text },
    icon(kind === "error" ? "warning" : kind === "good" ? "check" : "help"),
    h("p", { dir: "auto" }, text),
    dismiss,
  );
  const { words, act } = staying ?? {};
  if (words !== undefined && act !== undefined) {
    const button = h("button", { type: "button", class: "button small" }, words);
    button.addEventListener("click", () => {
      card.remove();
      act();
    });
    card.querySelector("p")?.append(" ", button);
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => {
    if (staying !== undefined) return;
    timer = setTimeout(
      () => {
        card.remove();
      },
      kind === "error" ? 12_000 : 4_000,
    );
  };
  dismiss.addEventListener("click", () => {
    clearTimeout(timer);
    card.remove();
  });
  card.addEventListener("pointerenter", () => {
    clearTimeout(timer);
  });
  card.addEventListener("pointerleave", leave);
  leave();
  host.append(card);
  while (host.children.length > 4) host.firstElementChild?.remove();
}

/** Run a task and show what went wrong as a sentence. */
export function reportErrors(task: () => Promise<unknown>): void {
  task().catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") return;
    toast(error instanceof Error ? error.message : String(error), "error");
  });
}
