import { boxBetween, sameIndex } from "../geometry";
import type { Press } from "./gesture";

/** Draw a rectangle from corner to corner, one voxel thick; a press without a drag puts down nothing. */
export async function box({ pane, start, moves }: Press): Promise<void> {
  const first = pane.indexNear(start);
  const { actions } = pane;
  let last = first;
  for await (const move of moves()) {
    last = pane.indexNear(move);
    actions.store.set({ draft: { kind: "box", ...boxBetween(first, last) } });
  }
  if (!sameIndex(first, last)) actions.marks.place({ kind: "box", ...boxBetween(first, last) });
}
