/** Numbers as people read them. */

/** Return a number with three digits that count, or a whole one from a hundred on. */
export function short(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
