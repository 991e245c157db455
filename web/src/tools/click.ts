import type { Press } from "./gesture";

/** Put down a click at once, where the button went down; the other planes follow. */
export async function click({ pane, start, positive }: Press): Promise<void> {
  const index = pane.indexUnder(start);
  if (index === null) return;
  pane.actions.setCrosshair(index);
  pane.actions.place({ kind: "click", index, positive });
  await Promise.resolve();
}
