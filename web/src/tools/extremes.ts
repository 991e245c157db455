import { sameIndex } from "../geometry";
import { isTap, type Press } from "./gesture";

const POINTS = 4; // leftmost, rightmost, top and bottom

/** Put down one of the object's four outermost points; the fourth sends them. */
export async function extremes(press: Press): Promise<void> {
  const { pane, start } = press;
  const index = pane.indexUnder(start);
  if (index === null || !(await isTap(press))) return;
  const { actions } = pane;
  const { normal } = pane.plane;
  const { state } = actions.store;
  const here = state.points.filter((point) => point[normal] === index[normal] && !sameIndex(point, index));
  const points = [...here, index];
  actions.setCrosshair(index);
  actions.store.set({ points: points.length < POINTS ? points : [] });
  if (points.length === POINTS) actions.place({ kind: "extremes", points });
}
