import type { Press } from "./gesture";

/** Erase the part of the mask that is clicked, or keep it alone with Shift; a click on a hole fills it. */
export async function island({ pane, start }: Press): Promise<void> {
  const index = pane.indexUnder(start);
  if (index === null) return;
  const { actions, opened } = pane;
  const inside =
    opened.maps.ofLabel(actions.store.state.labels, actions.store.state.label).at(index) === actions.store.state.label;
  actions.views.setCrosshair(index);
  if (inside) actions.marks.edit({ kind: "component", index, action: start.shiftKey ? "keep" : "erase", axis: null });
  else actions.marks.edit({ kind: "component", index, action: "fill", axis: pane.plane.normal });
  await Promise.resolve();
}
