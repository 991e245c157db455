/**
 * Edits of a mask by hand and by rule: how they are made, and what the list of marks says of them.
 *
 * An edit goes up with all its fields, as the server writes it down, so that a lost connection doubles none.
 */

import type { Edit, Label } from "./api";
import type { Axis, Index, Plane } from "./geometry";
import { titleOf } from "./labels";
import { fill, phrases, plural } from "./phrases";
import { rounded } from "./words";

type Of<K extends Edit["kind"]> = Extract<Edit, { kind: K }>;

/** How the brush is set; its radius is that of strokes. */
export interface Brush {
  readonly square: boolean;
  readonly space: boolean; // a ball or cube, and not a disc in the plane
  readonly limited: boolean; // it keeps to voxels whose value lies in the range
  readonly low: number;
  readonly high: number;
}

export const BRUSH: Brush = { square: false, space: false, limited: false, low: 0, high: 0 };

export function paintOf(brush: Brush, points: readonly Index[], normal: Axis, radius: number, positive: boolean): Edit {
  const within: [number, number] | null = brush.limited ? [brush.low, brush.high] : null;
  const axis = brush.space ? null : normal;
  return {
    kind: "paint",
    points: [...points],
    positive,
    radius,
    unit: "voxels",
    axis,
    square: brush.square,
    within,
  };
}

/** Return the copy of the slice shown in a plane to the one beside it; null where there is none. */
export function copyOf(plane: Plane, shape: Index, crosshair: Index, by: 1 | -1): Of<"copy_slice"> | null {
  const source = crosshair[plane.normal];
  const target = source + by;
  return target < 0 || target >= shape[plane.normal]
    ? null
    : { kind: "copy_slice", axis: plane.normal, source, target };
}

function limits(within: readonly (number | null)[] | null | undefined): string {
  if (within === null || within === undefined) return "";
  const [low, high] = within;
  if (low === null) return fill(phrases.edits.upTo, { high: rounded(high ?? 0) });
  if (high === null) return fill(phrases.edits.from, { low: rounded(low) });
  return fill(phrases.edits.within, { low: rounded(low), high: rounded(high) });
}

/** Return what an edit did, in a few plain words. */
export function describeEdit(edit: Edit, labels: readonly Pick<Label, "value" | "name" | "instance">[]): string {
  const say = phrases.edits;
  const named = (value: number): string => {
    const label = labels.find((one) => one.value === value);
    return label === undefined ? fill(phrases.common.label, { n: value }) : titleOf(label);
  };
  switch (edit.kind) {
    case "paint":
      return fill(edit.positive ? say.painted : say.erased, { limits: limits(edit.within) });
    case "draw":
      return fill(edit.drawn.positive ? say.drawn : say.erased, { limits: limits(edit.within) });
    case "fill_holes":
      return (edit.axis ?? null) === null ? say.filledHoles : say.filledHolesInSlices;
    case "keep_largest":
      return say.keptLargest;
    case "remove_small":
      return fill(say.removedSmall, { size: rounded(edit.below_mm3) });
    case "component":
      return { erase: say.erasedPart, fill: say.filledHole, keep: say.keptPart }[edit.action];
    case "smooth":
      return fill(say.smoothed, { mm: rounded(edit.mm) });
    case "grow":
      return fill(edit.mm > 0 ? say.grew : say.shrank, { mm: rounded(Math.abs(edit.mm)) });
    case "threshold":
      return fill(say.threshold, { limits: limits(edit.within) });
    case "combine":
      if (edit.operation === "union") return fill(say.tookOver, { name: named(edit.other) });
      return fill(edit.operation === "subtract" ? say.keptAway : say.keptNear, {
        mm: rounded(edit.margin_mm),
        name: named(edit.other),
      });
    case "merge":
      return say.merged;
    case "interpolate":
      return say.interpolated;
    case "copy_slice":
      return fill(say.copied, { from: edit.source + 1, to: edit.target + 1 });
    case "cut":
      return typeof edit.to !== "number" ? say.cutOff : fill(say.cutTo, { name: named(edit.to) });
  }
}

/** Return where an edit was made, for those that have a place. */
export function placeOfEdit(edit: Edit): Index | null {
  switch (edit.kind) {
    case "paint":
    case "cut":
      return edit.points[edit.points.length >> 1] ?? null;
    case "component":
      return edit.index;
    case "draw": {
      const { low, shape } = edit.drawn;
      return [low[0] + (shape[0] >> 1), low[1] + (shape[1] >> 1), low[2] + (shape[2] >> 1)];
    }
    case "threshold":
      return edit.region?.kind === "lasso" ? (edit.region.points[0] ?? null) : null;
    default:
      return null;
  }
}

/** Return what an edit changed, as a sentence. */
export function changeOf(words: string, gained: number, lost: number): string {
  const { nothing, changed, more, less } = phrases.edits;
  if (gained === 0 && lost === 0) return fill(nothing, { what: words });
  const parts = [gained > 0 ? plural(more, gained) : "", lost > 0 ? plural(less, lost) : ""];
  return fill(changed, { what: words, changes: parts.filter((part) => part !== "").join(phrases.common.comma) });
}
