/** How far the answer to a mark may change the mask, as the person chose it for the marks to come. */

import type { Prompt, Reach } from "./api";
import type { Axis } from "./geometry";

export const REACHES = ["whole", "near", "slice", "part"] as const;
export type ReachKind = (typeof REACHES)[number];

export const LEAST_MM = 1;
export const MOST_MM = 200;

/** Return the kinds of reach that an image has: a picture is one slice. */
export const reachesOf = (flat: boolean): readonly ReachKind[] =>
  flat ? REACHES.filter((kind) => kind !== "slice") : REACHES;

/** Return the reach that goes up with a mark put down in a plane across `axis`; null: as far as the method thinks right. */
export function reachOf(kind: ReachKind, mm: number, axis: Axis, prompt: Prompt): Reach | null {
  if (prompt.kind === "mask" || prompt.kind === "adjust") return null; // which are for the whole mask
  switch (kind) {
    case "whole":
      return null;
    case "near":
      return { mm, axis: null, part: false };
    case "slice":
      return { mm: null, axis: prompt.kind === "lasso" ? prompt.axis : axis, part: false };
    case "part":
      return { mm: null, axis: null, part: true };
  }
}
