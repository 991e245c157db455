/** Window and level: which values are black and which are white. */

import type { Volume } from "./nifti";

export interface Contrast {
  readonly low: number; // black, in the file's units
  readonly high: number; // white
}

export interface Preset {
  readonly name: string;
  readonly contrast: Contrast;
}

const window = (name: string, level: number, width: number): Preset => ({
  name,
  contrast: { low: level - width / 2, high: level + width / 2 },
});

/** In Hounsfield units. */
export const CT_PRESETS: readonly Preset[] = [
  window("Soft tissue", 40, 400),
  window("Liver", 70, 160),
  window("Lung", -600, 1500),
  window("Bone", 480, 2000),
  window("Brain", 40, 80),
];

export interface Statistics {
  readonly low: number;
  readonly high: number;
  readonly auto: Contrast; // the first to the ninety-ninth hundredth of the values above the background
  readonly ct: boolean;
}

/** Return the range of the values, looked at in at most 200 000 voxels of the slices that are there. */
export function statisticsOf(volume: Volume, modality = ""): Statistics {
  if (volume.rgb) return { low: 0, high: 255, auto: { low: 0, high: 255 }, ct: false };
  const { arrived } = volume;
  const there = arrived === undefined ? 1 : arrived.reduce((sum, one) => sum + one, 0) / arrived.length;
  const step = Math.max(1, Math.floor((volume.values.length * there) / 200_000));
  const slice = volume.shape[1] * volume.shape[2];
  const sample: number[] = [];
  const look = (from: number, to: number): void => {
    for (let i = Math.ceil(from / step) * step; i < to; i += step) {
      const value = volume.values[i] * volume.slope + volume.intercept;
      if (Number.isFinite(value)) sample.push(value);
    }
  };
  if (arrived === undefined) look(0, volume.values.length);
  else for (const [z, there] of arrived.entries()) if (there === 1) look(z * slice, (z + 1) * slice);
  const sorted = Float64Array.from(sample).sort();
  const low = sorted.at(0) ?? 0;
  const high = sorted.at(-1) ?? 1;
  const above = sorted.filter((value) => value > low);
  const quantile = (q: number): number => above.at(Math.round(q * (above.length - 1))) ?? low;
  const ct = modality.toUpperCase() === "CT" || (modality === "" && low <= -500 && high >= 200);
  const auto = { low: Math.min(quantile(0.01), low + 0.25 * (high - low)), high: quantile(0.99) };
  return { low, high, auto: auto.high > auto.low ? auto : { low, high: low === high ? low + 1 : high }, ct };
}

/** Return the windows that an image is offered, in the order of their keys. */
export function presetsOf({ auto, low, high, ct }: Statistics, rgb: boolean): readonly Preset[] {
  const full = { name: "Full", contrast: { low, high: high > low ? high : low + 1 } };
  if (rgb) return [{ ...full, name: "Original" }];
  return [...(ct ? CT_PRESETS : []), { name: "Auto", contrast: auto }, full];
}

/** Return the contrast after a drag: to the right widens the window, upwards lowers its level and brightens. */
export function dragContrast(from: Contrast, statistics: Statistics, dx: number, dy: number): Contrast {
  const range = Math.min(statistics.high - statistics.low, 8 * (from.high - from.low)) || 1;
  const width = Math.max(from.high - from.low + (dx / 400) * range, range / 1000);
  const level = (from.low + from.high) / 2 + (dy / 400) * range;
  return { low: level - width / 2, high: level + width / 2 };
}
