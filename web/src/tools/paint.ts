import { paintOf } from "../edits";
import { type Index, lineTo } from "../geometry";
import type { Press } from "./gesture";

/** Paint voxels, or erase them, as they are passed over; Shift turns one into the other. */
export async function paint(press: Press): Promise<void> {
  const { tool } = press.pane.actions.store.state;
  await brush(press, (tool === "paint") !== press.start.shiftKey);
}

/** Erase voxels as they are passed over, whatever the tool. */
export async function erase(press: Press): Promise<void> {
  await brush(press, false);
}

async function brush({ pane, start, moves }: Press, positive: boolean): Promise<void> {
  const first = pane.indexUnder(start);
  if (first === null) return;
  const { actions } = pane;
  const { brush, radius } = actions.store.state;
  const points: Index[] = [first];
  const edit = () => paintOf(brush, points, pane.plane.normal, radius, positive);
  actions.store.set({ editing: edit() });
  for await (const move of moves()) {
    points.push(...lineTo(points[points.length - 1], pane.indexNear(move)));
    actions.store.set({ editing: edit() });
  }
  actions.views.setCrosshair(points[points.length - 1]);
  actions.marks.edit(edit());
}
