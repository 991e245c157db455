/** The colours that labels get, in turn; the same as `segmend.core.session`'s. */

import type { Label } from "./api";

export const PALETTE: readonly Label["colour"][] = [
  [230, 75, 60],
  [60, 160, 230],
  [90, 190, 90],
  [240, 180, 40],
  [160, 100, 220],
  [50, 200, 190],
  [235, 120, 175],
  [150, 110, 70],
];
