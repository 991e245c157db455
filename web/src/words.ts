/** Numbers as people read them, with the decimal point of their language. */

import { decimal } from "./phrases";

/** Return a number with three digits that count, or a whole one from a hundred on. */
export function short(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : significant(value, 3);
}

/** Return a number with so many digits that count. */
export function significant(value: number, digits: number): string {
  return decimal(String(Number(value.toPrecision(digits))));
}

/** Return a number with so many digits behind the point. */
export function fixed(value: number, places: number): string {
  return decimal(value.toFixed(places));
}

/** Return a number without digits behind the second one after the point. */
export function rounded(value: number): string {
  return decimal(String(Math.round(value * 100) / 100));
}

/** Return a RAS position as radiologists say it: how far to which side of the patient. */
export function sidesOf(mm: readonly [number, number, number]): string {
  const sides = ["RL", "AP", "SI"].map((pair, i) => `${mm[i] < 0 ? pair[1] : pair[0]} ${fixed(Math.abs(mm[i]), 1)}`);
  return `${sides.join("  ")} mm`;
}
