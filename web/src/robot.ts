/** A robot that annotates while one watches: it knows the right mask, the method answers it, and nothing is stored. */

import * as api from "./api";
import { boundsOf, unpackMask } from "./bits";
import { changeOf, type Change } from "./change";
import { type Index, union } from "./geometry";
import type { LabelMap } from "./labelmap";
import { fill, phrases, plural } from "./phrases";
import type { Robot, Store } from "./state";
import { fixed } from "./words";

/** Marks that it puts down at most, and milliseconds between them: time to see what each did. */
export const MARKS = 10;
const PAUSE_MS = 500;

/** Play until the mask is right, or there are enough marks, or the robot is sent away. */
export async function watchRobot(store: Store, goTo: (place: Index) => void): Promise<void> {
  const { opened, label, method, methods } = store.state;
  if (opened === null) return;
  const title = methods.find(({ id }) => id === method)?.title ?? method;
  let mask: api.RobotStep["mask"] | null = null;
  let shown: Robot = { title, label, prompts: [], dices: [], change: null, running: true };
  const show = (changes: Partial<Robot>): void => {
    shown = { ...shown, ...changes };
    store.set({ robot: shown });
  };
  show({});
  const gone = (): boolean => store.state.robot !== shown || store.state.opened !== opened;
  try {
    while (shown.prompts.length < MARKS) {
      const step: api.RobotStep = await api.robot(opened.session, { label, method, prompts: shown.prompts, mask });
      if (gone()) return;
      if (step.prompt === null) break;
      mask = step.mask;
      const change = await differenceOf(opened.maps.ofLabel(store.state.labels, label), label, step.mask);
      if (gone()) return;
      goTo(step.prompt.index);
      show({ prompts: [...shown.prompts, step.prompt], dices: [...shown.dices, step.dice], change });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (gone()) return;
    }
    show({ running: false });
  } catch (error) {
    if (!gone()) store.set({ robot: null });
    throw error;
  }
}

async function differenceOf(map: LabelMap, label: number, packed: api.RobotStep["mask"]): Promise<Change> {
  const { box: inner, inside } = await unpackMask(packed);
  const box = union(boundsOf(map, label), inner);
  const sides = [0, 1, 2].map((axis) => box.high[axis] - box.low[axis]);
  const values = new Uint16Array(sides[0] * sides[1] * sides[2]);
  let from = 0;
  for (let z = inner.low[0]; z < inner.high[0]; z++) {
    for (let y = inner.low[1]; y < inner.high[1]; y++) {
      const row = ((z - box.low[0]) * sides[1] + y - box.low[1]) * sides[2] - box.low[2];
      for (let x = inner.low[2]; x < inner.high[2]; x++, from++) if (inside[from] === 1) values[row + x] = label;
    }
  }
  return changeOf(map, { box, values }, label);
}

/** Return the corners of a curve in a box of so many pixels: Dice from 0 at the bottom to 1 at the top. */
export function curve(dices: readonly number[], width: number, height: number): string {
  const step = width / Math.max(1, MARKS - 1);
  return dices.map((dice, i) => `${(i * step).toFixed(1)},${((1 - dice) * height).toFixed(1)}`).join(" ");
}

/** Return what is going on in a sentence. */
export function robotWords({ title: method, dices, running }: Robot): string {
  const { begin, needless, after, done } = phrases.robot;
  const last = dices.at(-1);
  if (last === undefined) return running ? fill(begin, { method }) : needless;
  return plural(running ? after : done, dices.length, { method, dice: fixed(last, 2) });
}
