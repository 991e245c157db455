/**
 * What of a placed mark can be grabbed with the pointer, and what a drag makes of it: pure functions.
 *
 * A click, a stroke and a lasso move as a whole; so does a box by its middle, and each of its sides and corners is
 * moved by a handle, in every plane that cuts the box. Extreme points move one by one.
 */

import type { Prompt } from "./api";
import {
  type Axis,
  clamp,
  type Index,
  type Plane,
  pixelOf,
  type Point,
  type Projection,
  rectOf,
  toScreen,
} from "./geometry";

/** Where on the screen a slice of a plane is shown. */
export interface Shown {
  readonly plane: Plane;
  readonly shape: Index;
  readonly slice: number;
  readonly projection: Projection;
}

type Side = -1 | 0 | 1; // of a box on the screen: left or top, neither, right or bottom

/** The part of a prompt that is grabbed. */
export type Part =
  | { readonly kind: "whole" }
  | { readonly kind: "point"; readonly at: number }
  | { readonly kind: "sides"; readonly right: Side; readonly down: Side };

export interface Handle {
  readonly part: Part;
  readonly at: Point; // CSS pixels of the pane
}

const REACH = 9; // CSS pixels from a handle within which it is grabbed
const APART = 26; // CSS pixels at least between the handles of two opposite sides
const SIDES: readonly Side[] = [-1, 0, 1];
const WHOLE: Part = { kind: "whole" };

/** Return the handles of a prompt that lie in the slice. */
export function handlesOf(prompt: Prompt, shown: Shown): Handle[] {
  const here = (index: Index): boolean => index[shown.plane.normal] === shown.slice;
  switch (prompt.kind) {
    case "click":
      return here(prompt.index) ? [{ part: WHOLE, at: middleOf(prompt.index, shown) }] : [];
    case "stroke":
    case "lasso":
      return prompt.points.filter(here).map((point) => ({ part: WHOLE, at: middleOf(point, shown) }));
    case "extremes":
      return prompt.points.flatMap((point, at) =>
        here(point) ? [{ part: { kind: "point", at }, at: middleOf(point, shown) } as const] : [],
      );
    case "box":
      return boxHandles(prompt, shown);
    default:
      return [];
  }
}

function boxHandles(
  box: { readonly low: Index; readonly high: Index },
  { plane, shape, slice, projection }: Shown,
): Handle[] {
  const rect = rectOf(plane, shape, slice, box);
  if (rect === null) return [];
  const [x, y] = toScreen(projection, [rect.u + rect.width / 2, rect.v + rect.height / 2]);
  const across = Math.max(rect.width * projection.scaleX, APART) / 2;
  const along = Math.max(rect.height * projection.scaleY, APART) / 2;
  return SIDES.flatMap((down) =>
    SIDES.map((right): Handle => {
      const part: Part = right === 0 && down === 0 ? WHOLE : { kind: "sides", right, down };
      return { part, at: [x + right * across, y + down * along] };
    }),
  );
}

function middleOf(index: Index, { plane, shape, projection }: Shown): Point {
  const [u, v] = pixelOf(plane, shape, index);
  return toScreen(projection, [u + 0.5, v + 0.5]);
}

/** Return the handle nearest to a place of the pane, null where none is in reach. */
export function handleAt(prompt: Prompt, shown: Shown, [x, y]: Point, reach = REACH): Handle | null {
  let [best, nearest]: [Handle | null, number] = [null, reach];
  for (const handle of handlesOf(prompt, shown)) {
    const far = Math.hypot(handle.at[0] - x, handle.at[1] - y);
    if (far <= nearest) [best, nearest] = [handle, far];
  }
  return best;
}

/** Return a prompt after one of its parts was dragged from one voxel to another; it stays in the image. */
export function dragged(prompt: Prompt, part: Part, plane: Plane, shape: Index, from: Index, to: Index): Prompt {
  const by: Index = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  if (prompt.kind === "box") {
    if (part.kind === "sides") return resized(prompt, part, plane, shape, by);
    const last: Index = [prompt.high[0] - 1, prompt.high[1] - 1, prompt.high[2] - 1];
    const step = within([prompt.low, last], shape, by);
    return { ...prompt, low: sum(prompt.low, step), high: sum(prompt.high, step) };
  }
  if (prompt.kind === "click") return { ...prompt, index: sum(prompt.index, within([prompt.index], shape, by)) };
  if (prompt.kind === "extremes" && part.kind === "point") {
    const point = prompt.points[part.at];
    const moved = sum(point, within([point], shape, by));
    return { ...prompt, points: prompt.points.map((one, i) => (i === part.at ? moved : one)) };
  }
  if (prompt.kind === "stroke" || prompt.kind === "lasso" || prompt.kind === "extremes") {
    const step = within(prompt.points, shape, by);
    return { ...prompt, points: prompt.points.map((point) => sum(point, step)) };
  }
  return prompt;
}

function resized<Box extends { readonly low: Index; readonly high: Index }>(
  box: Box,
  part: Extract<Part, { kind: "sides" }>,
  plane: Plane,
  shape: Index,
  by: Index,
): Box {
  const low: [number, number, number] = [...box.low];
  const high: [number, number, number] = [...box.high];
  const move = (axis: Axis, side: Side, flipped: boolean): void => {
    if (side === 0) return;
    if ((side === -1) !== flipped) low[axis] = clamp(low[axis] + by[axis], 0, high[axis] - 1);
    else high[axis] = clamp(high[axis] + by[axis], low[axis] + 1, shape[axis]);
  };
  move(plane.right, part.right, plane.flipRight);
  move(plane.down, part.down, plane.flipDown);
  return { ...box, low, high };
}

const sum = (a: Index, b: Index): Index => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];

/** Return a step, shortened so that none of the points leaves the image. */
function within(points: readonly Index[], shape: Index, by: Index): Index {
  const along = (axis: Axis): number => {
    const values = points.map((point) => point[axis]);
    return clamp(by[axis], -Math.min(...values), shape[axis] - 1 - Math.max(...values));
  };
  return [along(0), along(1), along(2)];
}

/** Return a prompt with the other sign; null for one that has none. */
export function turnedOver(prompt: Prompt): Prompt | null {
  return "positive" in prompt ? { ...prompt, positive: !prompt.positive } : null;
}
