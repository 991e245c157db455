import { type Index, lineTo, sameIndex } from "../geometry";
import { phrases } from "../phrases";
import { toast } from "../toasts";
import type { Press } from "./gesture";

/** Draw a line across the mask; the next press picks the part that is cut off. */
export async function cut({ pane, start, moves }: Press): Promise<void> {
  const first = pane.indexUnder(start);
  if (first === null) return;
  const { actions } = pane;
  const { normal } = pane.plane;
  const { store } = actions;
  const line = store.state.cut;
  if (line.length > 0) {
    store.set({ cut: [] });
    const to = store.state.cutTo === "new" ? actions.labels.defineNext() : null;
    const axis = store.state.cutAxis;
    actions.marks.edit({ kind: "cut", points: [...line], index: first, axis, to, through: true }, to !== null);
    return;
  }
  const points: Index[] = [first];
  for await (const move of moves()) {
    points.push(...lineTo(points[points.length - 1], pane.indexNear(move)));
    store.set({ cut: [...points], cutAxis: normal });
  }
  if (points.length < 2 || points.every((point) => sameIndex(point, first))) store.set({ cut: [] });
  else toast(phrases.actions.cutNext);
}
