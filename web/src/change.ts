/** What a mask would become: the voxels that a label would gain and lose, worked out from a patch of the server. */

import { type Box, extentOf, type Plane, type Rect } from "./geometry";
import type { LabelMap } from "./labelmap";
import { amount, fill, phrases, plural } from "./phrases";
import type { MaskPatch } from "./wire";

export const SAME = 0;
export const GAINED = 1;
export const LOST = 2;

/** The colours of what is gained and lost: told apart by people who see no red or no green. */
export const GAINED_COLOUR = [56, 182, 255] as const;
export const LOST_COLOUR = [255, 150, 40] as const;

/** How a label's mask changes inside a box; outside it nothing does. */
export interface Change {
  readonly label: number;
  readonly box: Box;
  readonly codes: Uint8Array; // SAME, GAINED or LOST a voxel of the box, x fastest
  readonly gained: number; // voxels
  readonly lost: number;
}

/** Return what a patch would change of a label, and of no other: a voxel that another label loses is gained here. */
export function changeOf(map: LabelMap, { box, values }: Pick<MaskPatch, "box" | "values">, label: number): Change {
  const codes = new Uint8Array(values.length);
  const [, rows, columns] = map.shape;
  let [at, gained, lost] = [0, 0, 0];
  for (let z = box.low[0]; z < box.high[0]; z++) {
    for (let y = box.low[1]; y < box.high[1]; y++) {
      const row = (z * rows + y) * columns;
      for (let x = box.low[2]; x < box.high[2]; x++, at++) {
        const was = map.values[row + x] === label;
        const will = values[at] === label;
        if (was === will) continue;
        codes[at] = will ? GAINED : LOST;
        if (will) gained += 1;
        else lost += 1;
      }
    }
  }
  return { label, box, codes, gained, lost };
}

/** Return a change as a sentence about a label. */
export function wordsOf({ gained, lost }: Pick<Change, "gained" | "lost">, name: string): string {
  const { stays, gain, lose, gainAndLose } = phrases.preview;
  if (gained + lost === 0) return fill(stays, { name });
  if (lost === 0) return plural(gain, gained, { name });
  if (gained === 0) return plural(lose, lost, { name });
  return plural(gainAndLose, lost, { name, gained: amount(gained) });
}

/** Paint a slice of a change into RGBA bytes of a rectangle, which lies within the change's box. */
export function paintChange(
  { box, codes }: Change,
  shape: LabelMap["shape"],
  plane: Plane,
  slice: number,
  rect: Rect,
  out: Uint8ClampedArray,
): void {
  const [width, height] = extentOf(plane, shape);
  const sides = [0, 1, 2].map((axis) => box.high[axis] - box.low[axis]);
  const strides = [sides[1] * sides[2], sides[2], 1];
  const first = (slice - box.low[plane.normal]) * strides[plane.normal];
  let to = 0;
  for (let v = rect.v; v < rect.v + rect.height; v++) {
    const down = (plane.flipDown ? height - 1 - v : v) - box.low[plane.down];
    for (let u = rect.u; u < rect.u + rect.width; u++, to += 4) {
      const right = (plane.flipRight ? width - 1 - u : u) - box.low[plane.right];
      const code = codes[first + down * strides[plane.down] + right * strides[plane.right]];
      if (code === SAME) continue;
      out.set(code === GAINED ? GAINED_COLOUR : LOST_COLOUR, to);
      out[to + 3] = 190;
    }
  }
}
