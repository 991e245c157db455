/** Moving the crosshair by keys, within a plane as the screen shows it. */

import type { Actions } from "./actions";
import type { Index, Plane } from "./geometry";
import { cursorOf } from "./state";

const FAST = 4; // voxels a step while a key is held down

/** Steps to the right and down on the screen that arrow keys mean. */
export const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Return the voxel that lies so many to the right of another one, and down, as a plane is shown. */
export function beside(plane: Plane, [z, y, x]: Index, [right, down]: readonly [number, number]): Index {
  const next: [number, number, number] = [z, y, x];
  next[plane.right] += plane.flipRight ? -right : right;
  next[plane.down] += plane.flipDown ? -down : down;
  return next;
}

/** Move the crosshair within a plane; by more than a voxel while a key is held down. `pane` is the one with the focus. */
export function aim(
  actions: Actions,
  plane: Plane,
  [right, down]: readonly [number, number],
  held: boolean,
  pane: string | undefined,
): void {
  const step = held ? FAST : 1;
  actions.views.aimAt(beside(plane, cursorOf(actions.store.state, pane), [right * step, down * step]), pane);
}
