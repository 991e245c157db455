/** Slices that are locked: which they are, and whether a mark lies in them alone. */

import type { Edit, Event, Prompt } from "./api";
import type { Axis, Index } from "./geometry";

export type Locked = ReadonlyMap<Axis, ReadonlySet<number>>; // numbers of slices by the axis they are across
export const NONE: Locked = new Map();

/** Return the slices that are locked after some events. */
export function lockedAfter(events: readonly Event[]): Locked {
  const locked = new Map<Axis, Set<number>>();
  for (const event of events) {
    if (event.event !== "slices_locked") continue;
    const slices = locked.get(event.axis) ?? new Set<number>();
    for (const number of event.slices) {
      if (event.locked) slices.add(number);
      else slices.delete(number);
    }
    locked.set(event.axis, slices);
  }
  return locked;
}

export const isLocked = (locked: Locked, axis: Axis, slice: number): boolean => locked.get(axis)?.has(slice) ?? false;

/** Return the ranges of locked slices across an axis, each from its first to behind its last. */
export function rangesOf(locked: Locked, axis: Axis): [number, number][] {
  const ranges: [number, number][] = [];
  for (const number of [...(locked.get(axis) ?? [])].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last?.[1] === number) last[1] = number + 1;
    else ranges.push([number, number + 1]);
  }
  return ranges;
}

/** Return the locked slice in which all of a mark or an edit lies, so that it could change nothing; null where there is none. */
export function lockedUnder(locked: Locked, put: Prompt | Edit): { axis: Axis; slice: number } | null {
  for (const [axis, slices] of locked) {
    const [first, last] = rangeAlong(put, axis) ?? [];
    if (first === undefined || last === undefined) continue;
    let all = true;
    for (let slice = first; slice <= last; slice++) all &&= slices.has(slice);
    if (all) return { axis, slice: first };
  }
  return null;
}

/** Return the first and the last slice across an axis that a mark or an edit may lie in; null where that is not known. */
function rangeAlong(put: Prompt | Edit, axis: Axis): [number, number] | null {
  const around = (points: readonly Index[]): [number, number] => {
    const along = points.map((point) => point[axis]);
    return [Math.min(...along), Math.max(...along)];
  };
  switch (put.kind) {
    case "click":
      return [put.index[axis], put.index[axis]];
    case "stroke":
    case "lasso":
    case "extremes":
      return around(put.points);
    case "box":
      return [put.low[axis], put.high[axis] - 1];
    case "paint":
      return put.axis === axis ? around(put.points) : null;
    case "copy_slice":
      return put.axis === axis ? [put.target, put.target] : null;
    default:
      return null;
  }
}
