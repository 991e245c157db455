/** Labels that may share voxels, and objects: labels of one name that are numbered, each with a mask of its own. */

import type { Event, Label } from "./api";
import { PALETTE } from "./palette";
import { objectName } from "./phrases";
import { labelGone } from "./session";

/** Return a label as it is when it is made. */
export function newLabel(value: number, name = objectName(value)): Label {
  const colour = PALETTE[(value - 1) % PALETTE.length];
  return { value, name, colour, locked: false, opacity: 1, codes: null, layer: 0, instance: null };
}

/** Return a label's name with the number of the object. */
export function titleOf({ name, instance }: Pick<Label, "name" | "instance">): string {
  return typeof instance === "number" ? `${name}${/\d$/.test(name) ? "." : " "}${instance}` : name;
}

/** Return the objects of a label's name, itself among them; it alone where it has no number. */
export function objectsOf(labels: readonly Label[], label: Label): readonly Label[] {
  if (typeof label.instance !== "number") return [label];
  return labels.filter(({ name, instance }) => name === label.name && typeof instance === "number");
}

/**
 * Return another object of a label's name, with a value of its own, and the label itself, which becomes the first object
 * where it was the only one.
 */
export function nextObject(labels: readonly Label[], label: Label, value: number): { first: Label; next: Label } {
  const first = typeof label.instance === "number" ? label : { ...label, instance: 1 };
  const objects = objectsOf(labels, first);
  const number = Math.max(1, ...objects.map(({ instance }) => instance ?? 1)) + 1;
  const colour = shadeOf((objects.find(({ instance }) => instance === 1) ?? first).colour, number);
  return { first, next: { ...first, value, locked: false, colour, instance: number } };
}

/** How far the colours of objects go towards white, or with a minus towards black, one after the other. */
const SHADES = [0, 0.35, -0.3, 0.6, -0.5, 0.18, -0.15] as const;

/** Return the colour of an object by its number: a shade of the first one's. */
export function shadeOf(colour: Label["colour"], number: number): Label["colour"] {
  const shade = SHADES[(number - 1) % SHADES.length];
  const end = shade > 0 ? 255 : 0;
  const [r, g, b] = colour.map((part) => Math.round(part + Math.abs(shade) * (end - part)));
  return [r, g, b];
}

/** Say whether a label may share voxels with labels of other layers. */
export const overlaps = ({ layer }: Pick<Label, "layer">): boolean => layer !== 0;

/**
 * Say whether something in effect was put down on a label, or gave it voxels: then it stays in its layer. The same rule
 * as the server's `Session._is_touched`.
 */
export function isTouched(events: readonly Event[], done: readonly number[], value: number): boolean {
  for (const position of [...done].reverse()) {
    const event = events[position];
    if (labelGone(event) === value) return false;
    if ((event.event === "prompted" || event.event === "edited") && event.label === value) return true;
    if (event.event !== "edited") continue;
    const { edit } = event;
    if (edit.kind === "combine" && edit.operation === "union" && edit.other === value) return true;
    if (edit.kind === "cut" && edit.to === value) return true;
  }
  return false;
}

/** Return layers in the order they are drawn: the one whose label comes first in the list lies lowest. */
export function layersOf(labels: readonly Label[]): readonly number[] {
  return [...new Set(labels.map(({ layer }) => layer))];
}
