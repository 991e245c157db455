/** How far readers agree, as numbers to be shown: without a page. */

import type { Agreement } from "./api";

/** A pair of readers over all cases that both have read. */
export interface PairSummary {
  readonly one: string;
  readonly other: string;
  readonly cases: number;
  readonly mean: number;
  readonly lowest: number;
}

/** Return each pair of readers with its mean Dice over cases, in the order in which they first come. */
export function summaries(rows: readonly Agreement[]): PairSummary[] {
  const found = new Map<string, { one: string; other: string; dice: number[] }>();
  for (const { pairs } of rows) {
    for (const { one, other, dice } of pairs) {
      const key = JSON.stringify([one, other]);
      const pair = found.get(key) ?? { one, other, dice: [] };
      pair.dice.push(dice);
      found.set(key, pair);
    }
  }
  return [...found.values()].map(({ one, other, dice }) => ({
    one,
    other,
    cases: dice.length,
    mean: dice.reduce((sum, value) => sum + value, 0) / dice.length,
    lowest: Math.min(...dice),
  }));
}

/** A case in the plot: how far its readers agree, and what it took them on average. */
export interface Point {
  readonly name: string;
  readonly dice: number; // the lowest of its pairs
  readonly seconds: number;
}

/** Return a point for each case that several people have read. */
export function pointsOf(rows: readonly Agreement[]): Point[] {
  return rows.flatMap(({ name, pairs, readings }) => {
    const among = pairs.filter(({ one, other }) => one !== "decision" && other !== "decision");
    if (among.length === 0) return [];
    const seconds = readings.reduce((sum, reading) => sum + reading.seconds, 0) / Math.max(1, readings.length);
    return [{ name, dice: Math.min(...among.map(({ dice }) => dice)), seconds }];
  });
}

/** Return round values from nothing to at least the largest one, at most six of them. */
export function ticks(largest: number): number[] {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const step = steps.find((one) => one * 5 >= largest) ?? Math.ceil(largest / 5);
  const count = Math.max(1, Math.ceil(largest / step));
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}
