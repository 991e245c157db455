import { type Index, lineTo } from "../geometry";
import type { Press } from "./gesture";

/** Draw a line of voxels without gaps, put down when the button is released. */
export async function stroke({ pane, start, positive, moves }: Press): Promise<void> {
  const first = pane.indexUnder(start);
  if (first === null) return;
  const { actions } = pane;
  const radius = actions.store.state.radius;
  const points: Index[] = [first];
  const draft = () => ({ kind: "stroke", points: [...points], positive, radius }) as const;
  actions.store.set({ draft: draft() });
  for await (const move of moves()) {
    points.push(...lineTo(points[points.length - 1], pane.indexNear(move)));
    actions.store.set({ draft: draft() });
  }
  actions.views.setCrosshair(points[points.length - 1]);
  actions.marks.place(draft());
}
