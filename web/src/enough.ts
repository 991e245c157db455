/** Whether a mask is good enough to go on: a calibrated Dice is high, and the last marks have raised it no more. */

export const LEVEL = 0.9; // below it nothing is said
const FAIR = 0.75; // of the Dice; below it much of the mask is wrong
const SAFE = 0.8; // of the Dice at an interval's lower end
const RISE = 0.01; // of the Dice, by which a mark is taken to have bettered the mask
const MARKS = 2; // in a row that bettered nothing

/** Return how good a mask of this expected Dice is, in a word: where an interval is known, only what all of it says. */
export function gradeOf(dice: number, likely: readonly [number, number] | null): "good" | "fair" | "poor" {
  if (likely === null) return dice >= LEVEL ? "good" : dice >= FAIR ? "fair" : "poor";
  return likely[0] >= SAFE ? "good" : likely[1] < FAIR ? "poor" : "fair";
}

/** Return whether the expected Dice of a label, after each of its answers, has stopped rising above the level. */
export function isEnough(qualities: readonly number[]): boolean {
  const last = qualities.at(-1);
  if (last === undefined || qualities.length <= MARKS) return false;
  const before = Math.max(...qualities.slice(0, -MARKS));
  const since = qualities.slice(-MARKS);
  return before >= LEVEL && last >= LEVEL && since.every((quality) => quality - before < RISE);
}

/** Return the qualities of a label after one more answer; null: nobody knows its Dice, so what was known says nothing. */
export const withAnswer = (
  qualities: Readonly<Record<number, readonly number[]>>,
  label: number,
  quality: number | null,
): Readonly<Record<number, readonly number[]>> => ({
  ...qualities,
  [label]: quality === null ? [] : [...(qualities[label] ?? []), quality],
});
