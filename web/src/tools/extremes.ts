import { type Axis, type Index, sameIndex } from "../geometry";
import { isTap, type Press } from "./gesture";

const IN_A_SLICE = 4; // leftmost, rightmost, top and bottom
const IN_SPACE = 6; // and front and back, or head and feet

/** Return how many of the object's outermost points are wanted: those of a slice across one of some axes, or of a volume. */
export function wanted(points: readonly Index[], axes: readonly Axis[] = [0, 1, 2]): number {
  const flat = axes.some((axis) => points.every((point) => point[axis] === points[0][axis]));
  return flat ? IN_A_SLICE : IN_SPACE;
}

/** Put down one of the object's outermost points; the last one sends them. */
export async function extremes(press: Press): Promise<void> {
  const { pane, start } = press;
  const index = pane.indexUnder(start);
  if (index === null || !(await isTap(press))) return;
  const { actions } = pane;
  const points = [...actions.store.state.points.filter((point) => !sameIndex(point, index)), index];
  const complete = points.length >= wanted(points, [pane.plane.normal]);
  actions.views.setCrosshair(index);
  actions.store.set({ points: complete ? [] : points });
  if (complete) actions.marks.place({ kind: "extremes", points });
}
