import { type Index, lineTo } from "../geometry";
import type { Press } from "./gesture";

/** Draw round an area of one slice; inside it the mask becomes what lies in the range of values. */
export async function threshold({ pane, start, moves }: Press): Promise<void> {
  const first = pane.indexUnder(start);
  if (first === null) return;
  const { actions } = pane;
  const points: Index[] = [first];
  const region = () => ({ kind: "lasso", points: [...points], axis: pane.plane.normal, positive: true }) as const;
  for await (const move of moves()) {
    points.push(...lineTo(points[points.length - 1], pane.indexNear(move)));
    actions.store.set({ draft: region() });
  }
  const { low, high } = actions.store.state.brush;
  if (points.length > 2) {
    actions.marks.edit({
      kind: "threshold",
      within: [low, high],
      region: region(),
      margin_mm: 0,
      inside: start.shiftKey ? "add" : "replace",
    });
  }
}
