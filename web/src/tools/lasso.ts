import { type Index, lineTo } from "../geometry";
import type { Press } from "./gesture";

/** Draw round an area of one slice; the line closes itself when the button is released. */
export async function lasso({ pane, start, positive, moves }: Press): Promise<void> {
  const first = pane.indexUnder(start);
  if (first === null) return;
  const { actions } = pane;
  const points: Index[] = [first];
  const draft = () => ({ kind: "lasso", points: [...points], axis: pane.plane.normal, positive }) as const;
  for await (const move of moves()) {
    points.push(...lineTo(points[points.length - 1], pane.indexNear(move)));
    actions.store.set({ draft: draft() });
  }
  if (points.length > 2) actions.marks.place(draft());
}
