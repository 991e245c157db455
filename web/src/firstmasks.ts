/** First masks by the method that a case's project trusts. */

import type { Method } from "./api";
import { titleOf } from "./labels";
import { fill, phrases } from "./phrases";
import type { State } from "./state";
import { fixed } from "./words";

const SAY = phrases.firstMasks;

/** Return whether a method finds objects without a mark, in pictures or volumes. */
export const makesFirst = ({ guesses, labels }: Pick<Method, "guesses" | "labels">): boolean =>
  guesses || labels.length > 0;

type Known = Pick<State, "project" | "methods" | "opened" | "events" | "done" | "labels">;

/** Return the method that makes the first masks of the open case; null where its project names none for such images. */
export function firstMethod({
  project,
  methods,
  opened,
}: Pick<Known, "project" | "methods" | "opened">): Method | null {
  if (opened === null || opened.case.timed || opened.onSlide !== null) return null;
  const method = methods.find(({ id }) => id === project?.first?.method);
  return method?.dimensions.includes(opened.volume.shape[0] === 1 ? 2 : 3) === true ? method : null;
}

/** Return what is to be said of masks that were made so and are in effect; null where there are none. */
export function aboutFirst(state: Known): string | null {
  const { project, events, done, labels, methods } = state;
  const first = project?.first ?? null;
  if (first === null) return null;
  const values = done.flatMap((position) => {
    const event = events.at(position);
    const asked =
      event?.event === "prompted" && event.method === first.method && event.prompt.kind === "mask"
        ? event.prompt.shape.every((side) => side === 1)
        : false;
    return asked && event?.event === "prompted" ? [event.label] : [];
  });
  if (values.length === 0) return null;
  const names = labels.filter(({ value }) => values.includes(value)).map(titleOf);
  const title = methods.find(({ id }) => id === first.method)?.title ?? first.method;
  return fill(SAY.note, { labels: names.join(phrases.common.comma), method: title, dice: fixed(first.dice, 2) });
}
