/**
 * Whole-slide images: which tiles a view shows, and which region of which level is marked in.
 *
 * Level k has 1 / 2^k of the sides of level 0. Places are (x, y) in pixels of level 0 where nothing else is said.
 */

import type { FieldOfView, Slide } from "./api";
import { clamp, type Point, type Projection, type View } from "./geometry";
import { fixed, significant } from "./words";

/** How a slide lies on the screen: CSS pixel = place of level 0 * scale + offset. */
export interface Seen {
  readonly scaleX: number;
  readonly scaleY: number;
  readonly offsetX: number;
  readonly offsetY: number;
}

type Sides = Pick<Slide, "width" | "height">;
type Levels = Sides & Pick<Slide, "levels">;
type Region = Pick<FieldOfView, "level" | "low" | "high">;

export interface Tile {
  readonly level: number;
  readonly row: number;
  readonly column: number;
}

/** A rectangle of level 0. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const NEAR = 0.75; // levels that what is seen may differ from the level that is marked in
const INSIDE = 0.85; // the part of what is seen that the field of view holds
const EDGE = 24; // pixels of a field of view at its border in which nobody begins to mark
const DEEPEST = 8; // CSS pixels of a pixel of level 0, at most
const SMALLEST = 0.4; // of the pane, that a slide fills at least

/** Return the pixels of a level, across and down. */
export function sidesAt({ width, height }: Sides, level: number): Point {
  return [Math.ceil(width / 2 ** level), Math.ceil(height / 2 ** level)];
}

/** Return where a field of view lies. */
export function areaOf({ level, low, high }: Region): Area {
  const size = 2 ** level;
  return { left: low[1] * size, top: low[0] * size, right: high[1] * size, bottom: high[0] * size };
}

/** Return how the slide lies on the screen when a field of view does so. */
export function seenBy(p: Projection, { level, low }: Region): Seen {
  const size = 2 ** level;
  return {
    scaleX: p.scaleX / size,
    scaleY: p.scaleY / size,
    offsetX: p.offsetX - low[1] * p.scaleX,
    offsetY: p.offsetY - low[0] * p.scaleY,
  };
}

/** Return the place under a CSS pixel. */
export function placeUnder(seen: Seen, [x, y]: Point): Point {
  return [(x - seen.offsetX) / seen.scaleX, (y - seen.offsetY) / seen.scaleY];
}

/** Return the view of a field of view in which the slide lies on the screen as it did: `fit` is the scale of zoom 1. */
export function viewAs(seen: Seen, size: Point, { level, low }: Region, fit: number): View {
  const [x, y] = placeUnder(seen, [size[0] / 2, size[1] / 2]);
  return { centre: [x / 2 ** level - low[1], y / 2 ** level - low[0]], zoom: (seen.scaleX * 2 ** level) / fit };
}

/** Return how a slide lies on the screen with a place in the middle. */
export function seenAround([x, y]: Point, scale: number, size: Point): Seen {
  return { scaleX: scale, scaleY: scale, offsetX: size[0] / 2 - x * scale, offsetY: size[1] / 2 - y * scale };
}

/** Return how far the view of a slide may be zoomed: the least and the most CSS pixels of a pixel of level 0. */
export function scaleLimits(slide: Sides, size: Point): readonly [number, number] {
  return [SMALLEST * Math.min(size[0] / slide.width, size[1] / slide.height, DEEPEST / SMALLEST), DEEPEST];
}

/** Return the level whose pixels are as large as those of the screen, or a little smaller. */
export function levelShown({ levels }: Levels, { scaleX }: Seen, density: number): number {
  return clamp(Math.floor(-Math.log2(scaleX * density) + 0.3), 0, levels - 1);
}

/** Return what is seen of a slide, cut to it; null where it is not in sight. */
export function areaSeen({ width, height }: Sides, seen: Seen, size: Point): Area | null {
  const [left, top] = placeUnder(seen, [0, 0]);
  const [right, bottom] = placeUnder(seen, size);
  const area = {
    left: Math.max(0, left),
    top: Math.max(0, top),
    right: Math.min(width, right),
    bottom: Math.min(height, bottom),
  };
  return area.left < area.right && area.top < area.bottom ? area : null;
}

/** Return the tiles of a level that are seen, those in the middle first. */
export function tilesSeen(slide: Sides & Pick<Slide, "tile">, level: number, area: Area): Tile[] {
  const [columns, rows] = sidesAt(slide, level).map((side) => Math.ceil(side / slide.tile));
  const step = slide.tile * 2 ** level;
  const range = (low: number, high: number, count: number): number[] => {
    const first = clamp(Math.floor(low / step), 0, count - 1);
    const last = clamp(Math.ceil(high / step) - 1, first, count - 1);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  };
  const middle = [(area.left + area.right) / 2 / step - 0.5, (area.top + area.bottom) / 2 / step - 0.5];
  const far = ({ row, column }: Tile): number => Math.hypot(column - middle[0], row - middle[1]);
  return range(area.top, area.bottom, rows)
    .flatMap((row) => range(area.left, area.right, columns).map((column) => ({ level, row, column })))
    .sort((a, b) => far(a) - far(b));
}

/** Return where a tile lies. */
export function areaOfTile(slide: Sides & Pick<Slide, "tile">, { level, row, column }: Tile): Area {
  const step = slide.tile * 2 ** level;
  const [columns, rows] = sidesAt(slide, level);
  const size = 2 ** level;
  return {
    left: column * step,
    top: row * step,
    right: Math.min((column + 1) * step, columns * size), // a coarse pixel at the border may reach over it
    bottom: Math.min((row + 1) * step, rows * size),
  };
}

/** Return the region and level to mark in: what is seen, as closely as a field of view allows. */
export function regionToMark(slide: Levels & Pick<Slide, "most">, seen: Seen, size: Point): Region | null {
  const area = areaSeen(slide, seen, size);
  if (area === null) return null;
  for (let level = clamp(Math.round(-Math.log2(seen.scaleX)), 0, slide.levels - 1); ; level++) {
    const [columns, rows] = sidesAt(slide, level);
    const pixel = 2 ** level;
    const low = [Math.floor(area.top / pixel), Math.floor(area.left / pixel)];
    const high = [Math.min(rows, Math.ceil(area.bottom / pixel)), Math.min(columns, Math.ceil(area.right / pixel))];
    const fits = Math.max(high[0] - low[0], high[1] - low[1]) <= slide.most;
    if (fits || level >= slide.levels - 1)
      return { level, low: widened(low[0], low[1]), high: widened(high[0], high[1]) };
  }
}

const widened = (y: number, x: number): [number, number] => [y, x];

/** Say whether what is seen can be marked in a field of view: of about its level, and mostly or at a place inside it. */
export function suits(
  slide: Levels & Pick<Slide, "most">,
  field: Region,
  seen: Seen,
  size: Point,
  at?: Point,
): boolean {
  const wanted = regionToMark(slide, seen, size);
  if (wanted === null) return true; // nothing is seen of the slide, so nothing can be marked
  const level = clamp(-Math.log2(seen.scaleX), 0, slide.levels - 1);
  if (wanted.level !== field.level && Math.abs(level - field.level) > NEAR) return false;
  const here = areaOf(field);
  if (at !== undefined) return holds(here, placeUnder(seen, at), EDGE * 2 ** field.level, slide);
  const area = areaSeen(slide, seen, size)!;
  const across = Math.min(area.right, here.right) - Math.max(area.left, here.left);
  const down = Math.min(area.bottom, here.bottom) - Math.max(area.top, here.top);
  const shared = Math.max(0, across) * Math.max(0, down);
  return shared >= INSIDE * (area.right - area.left) * (area.bottom - area.top);
}

/** Say whether a place is inside an area and not at its border, unless that is the slide's. */
function holds(area: Area, [x, y]: Point, edge: number, { width, height }: Sides): boolean {
  const inside = (at: number, low: number, high: number, end: number): boolean =>
    at >= (low <= 0 ? low : low + edge) && at < (high >= end ? high : high - edge);
  return inside(x, area.left, area.right, width) && inside(y, area.top, area.bottom, height);
}

/** Return a round length for a scale bar and its CSS pixels, of so many units a CSS pixel. */
export function scaleBar(unitsPerPixel: number, longest = 140): { readonly length: number; readonly pixels: number } {
  const most = longest * unitsPerPixel;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = power * ([5, 2, 1].find((step) => step * power <= most) ?? 1);
  return { length, pixels: length / unitsPerPixel };
}

/** Return a length in micrometres as people say it. */
export function lengthWords(um: number): string {
  return um >= 1000 ? `${significant(um / 1000, 4)} mm` : um >= 1 ? `${um} µm` : `${Math.round(um * 1000)} nm`;
}

/** Return the magnification of a microscope whose picture is as large: 10 where a pixel is a micrometre. */
export function magnification(umPerPixel: number): string {
  const times = 10 / umPerPixel;
  return `${times >= 10 ? Math.round(times) : times >= 1 ? fixed(times, 1) : fixed(times, 2)}×`;
}
