/**
 * Edits of a mask by hand and by rule: how they are made, and what the list of marks says of them.
 *
 * An edit goes up with all its fields, as the server writes it down, so that a lost connection doubles none.
 */

import type { Edit, Label } from "./api";
import type { Axis, Index, Plane } from "./geometry";

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

const round = (value: number): string => String(Math.round(value * 100) / 100);

function limits(within: readonly (number | null)[] | null | undefined): string {
  if (within === null || within === undefined) return "";
  const [low, high] = within;
  if (low === null) return ` up to ${round(high ?? 0)}`;
  return high === null ? ` from ${round(low)}` : ` within ${round(low)} to ${round(high)}`;
}

/** Return what an edit did, in a few plain words. */
export function describeEdit(edit: Edit, labels: readonly Pick<Label, "value" | "name">[]): string {
  const named = (value: number): string => labels.find((label) => label.value === value)?.name ?? `label ${value}`;
  switch (edit.kind) {
    case "paint":
      return `${edit.positive ? "Painted" : "Erased"}${limits(edit.within)}`;
    case "draw":
      return `${edit.drawn.positive ? "Drawn" : "Erased"}${limits(edit.within)}`;
    case "fill_holes":
      return (edit.axis ?? null) === null ? "Filled holes" : "Filled holes, slice by slice";
    case "keep_largest":
      return "Kept the largest part";
    case "remove_small":
      return `Removed parts under ${round(edit.below_mm3)} mm³`;
    case "component":
      return { erase: "Erased one part", fill: "Filled one hole", keep: "Kept one part" }[edit.action];
    case "smooth":
      return `Smoothed by ${round(edit.mm)} mm`;
    case "grow":
      return `${edit.mm > 0 ? "Grew" : "Shrank"} by ${round(Math.abs(edit.mm))} mm`;
    case "threshold":
      return `Threshold${limits(edit.within)}`;
    case "combine":
      if (edit.operation === "union") return `Took over ${named(edit.other)}`;
      if (edit.operation === "subtract") return `Kept ${round(edit.margin_mm)} mm away from ${named(edit.other)}`;
      return `Kept what is within ${round(edit.margin_mm)} mm of ${named(edit.other)}`;
    case "merge":
      return "Took a label in";
    case "interpolate":
      return "Filled in between slices";
    case "copy_slice":
      return `Copied slice ${edit.source + 1} to ${edit.target + 1}`;
    case "cut":
      return typeof edit.to !== "number" ? "Cut a part off" : `Cut a part off, now ${named(edit.to)}`;
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
  const count = (voxels: number): string => voxels.toLocaleString("en");
  if (gained === 0 && lost === 0) return `${words}: nothing changed.`;
  const parts = [gained > 0 ? `${count(gained)} voxels more` : "", lost > 0 ? `${count(lost)} voxels less` : ""];
  return `${words}: ${parts.filter((part) => part !== "").join(", ")}.`;
}
