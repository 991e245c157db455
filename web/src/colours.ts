/** Colour maps: 256 colours from the window's black end to its white one, made from a few that are named. */

import type { Colour } from "./slices";

type Stops = readonly (readonly [number, number, number, number])[]; // where of 0 to 1, then red, green, blue

const STOPS = {
  Grey: [
    [0, 0, 0, 0],
    [1, 255, 255, 255],
  ],
  Inverted: [
    [0, 255, 255, 255],
    [1, 0, 0, 0],
  ],
  Hot: [
    [0, 0, 0, 0],
    [0.375, 255, 0, 0],
    [0.75, 255, 255, 0],
    [1, 255, 255, 255],
  ],
  PET: [
    [0, 0, 0, 0],
    [0.25, 60, 0, 110],
    [0.5, 210, 40, 70],
    [0.75, 255, 165, 0],
    [1, 255, 255, 220],
  ],
  Viridis: [
    [0, 68, 1, 84],
    [0.25, 59, 82, 139],
    [0.5, 33, 145, 140],
    [0.75, 94, 201, 98],
    [1, 253, 231, 37],
  ],
  Rainbow: [
    [0, 0, 0, 130],
    [0.15, 0, 0, 255],
    [0.38, 0, 255, 255],
    [0.62, 255, 255, 0],
    [0.85, 255, 0, 0],
    [1, 130, 0, 0],
  ],
} as const satisfies Readonly<Record<string, Stops>>;

export type ColourMap = keyof typeof STOPS;
export const COLOUR_MAPS = Object.keys(STOPS) as ColourMap[];

const made = new Map<ColourMap, readonly Colour[]>();

/** Return a map's 256 colours. */
export function coloursOf(name: ColourMap): readonly Colour[] {
  let colours = made.get(name);
  if (colours === undefined)
    made.set(name, (colours = Array.from({ length: 256 }, (_, i) => between(STOPS[name], i / 255))));
  return colours;
}

function between(stops: Stops, at: number): Colour {
  const next = Math.max(
    1,
    stops.findIndex(([place]) => place >= at),
  );
  const [low, high] = [stops[next - 1], stops[next]];
  const part = (at - low[0]) / (high[0] - low[0]);
  const mix = (i: 1 | 2 | 3): number => Math.round(low[i] + part * (high[i] - low[i]));
  return [mix(1), mix(2), mix(3)];
}
