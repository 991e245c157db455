import type { Index } from "../geometry";
import { RULERS, type Ruler, type RulerKind } from "../rulers";
import type { Press } from "./gesture";

const LEAST = 3; // CSS pixels of a drag that is one

/** Draw a line or an ellipse from its start to its end; an angle by its first leg, then by a press on its second. */
export async function measure({ pane, start, moves }: Press): Promise<void> {
  const { actions, plane } = pane;
  const { tool, leg } = actions.store.state;
  const kind = RULERS.find((one) => one === tool);
  if (kind === undefined) return;
  const begun =
    kind === "angle" && leg?.axis === plane.normal && leg.points[0][plane.normal] === pane.slice ? leg : null;
  const first = pane.placeOf(start);
  const drawn = (end: Index): Ruler => made(kind, plane.normal, begun === null ? [first, end] : [...begun.points, end]);
  let [last, far] = [start, begun !== null];
  if (begun !== null) actions.store.set({ leg: drawn(first) });
  for await (const move of moves()) {
    last = move;
    far ||= Math.hypot(move.clientX - start.clientX, move.clientY - start.clientY) > LEAST;
    actions.store.set({ leg: drawn(pane.placeOf(move)) });
  }
  const ruler = drawn(pane.placeOf(last));
  const waits = kind === "angle" && begun === null;
  actions.store.set({ leg: far && waits ? ruler : null });
  if (far && !waits) actions.history.addRuler(ruler);
}

const made = (kind: RulerKind, axis: 0 | 1 | 2, points: readonly Index[]): Ruler => ({ kind, axis, points });
