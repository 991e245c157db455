/** Short messages at the edge of the page, read aloud by screen readers; errors stay until they are read. */

import { h, icon } from "./dom";

export type ToastKind = "error" | "info" | "good";

const region = (kind: "assertive" | "polite"): HTMLElement =>
  h("div", { class: "toasts", role: kind === "assertive" ? "alert" : "status", "aria-live": kind });

const polite = region("polite");
const assertive = region("assertive");
export const toastRegion = h("div", { class: "toast-corner" }, assertive, polite);

/** Show a message: errors for twelve seconds, others for four; longer while the pointer rests on it. */
export function toast(text: string, kind: ToastKind = "info"): void {
  const host = kind === "error" ? assertive : polite;
  const twin = [...host.children].find((child) => (child as HTMLElement).dataset.text === text);
  twin?.remove();
  const dismiss = h("button", { type: "button", class: "icon-button small", "aria-label": "Dismiss" }, icon("close"));
  const card = h(
    "div",
    { class: `toast ${kind}`, "data-text": text },
    icon(kind === "error" ? "warning" : kind === "good" ? "check" : "help"),
    h("p", {}, text),
    dismiss,
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => {
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
