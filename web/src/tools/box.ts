import { boxBetween, type Index, sameIndex } from "../geometry";
import type { Press } from "./gesture";

/** Draw a box from corner to corner, as deep as the wheel is turned meanwhile; a press without a drag puts down nothing. */
export async function box({ pane, start, moves }: Press): Promise<void> {
  const first = pane.indexNear(start);
  const { actions } = pane;
  let at: MouseEvent | null = null;
  const opposite = (): Index => (at === null ? first : pane.indexNear(at)); // in the slice that is in view now
  for await (const move of moves()) {
    at = move;
    actions.store.set({ draft: { kind: "box", ...boxBetween(first, opposite()) } });
  }
  const last = opposite();
  if (!sameIndex(first, last)) actions.marks.place({ kind: "box", ...boxBetween(first, last) });
}
