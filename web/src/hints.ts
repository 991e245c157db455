/** What the chosen tool wants next, in a sentence. */

import { whyFinished } from "./finished";
import { fill, phrases } from "./phrases";
import { isEditTool, isPromptTool, type State } from "./state";
import { wanted } from "./tools/extremes";

const SAY = phrases.hints;

type Asked = Pick<
  State,
  "tool" | "points" | "positive" | "cut" | "leg" | "opened" | "drawing" | "reach" | "reachMm" | "work" | "me"
>;

/** Return the sentence for the line at the bottom, with how far a mark reaches; "" where there is nothing to say. */
export function hintOf(state: Asked): string {
  const { tool, reach, reachMm } = state;
  const finished = isPromptTool(tool) || isEditTool(tool) ? whyFinished(state) : null;
  if (finished !== null) return finished;
  const hint = toolHint(state);
  if (hint === "" || reach === "whole" || !isPromptTool(tool)) return hint;
  const far = {
    near: fill(phrases.reach.nearSaid, { mm: reachMm }),
    slice: phrases.reach.slice,
    part: phrases.reach.part,
  };
  return `${hint}. ${far[reach]}`;
}

function toolHint({ tool, points, positive, cut, leg, opened, drawing }: Asked): string {
  if (opened === null) return "";
  const flat = opened.planes.length === 1;
  if (drawing) return tool === "box" && !flat ? SAY.drawingBox : SAY.drawing;
  const what = positive ? SAY.object : SAY.notObject;
  switch (tool) {
    case "click":
      return fill(SAY.click, { what });
    case "stroke":
      return fill(SAY.stroke, { what });
    case "box":
      return flat ? SAY.box : SAY.boxDepth;
    case "lasso":
      return fill(SAY.lasso, { what });
    case "extremes":
      if (points.length === 0) return flat ? SAY.extremesFlat : SAY.extremes;
      return fill(wanted(points) === 4 ? SAY.extremesSome : SAY.extremesSix, { n: points.length, all: wanted(points) });
    case "paint":
      return SAY.paint;
    case "erase":
      return SAY.erase;
    case "cut":
      return cut.length === 0 ? SAY.cut : SAY.cutPick;
    case "island":
      return SAY.island;
    case "threshold":
      return SAY.threshold;
    case "navigate":
      return flat ? SAY.navigateFlat : SAY.navigate;
    case "ruler":
      return phrases.measures.rulerTitle;
    case "angle":
      return leg === null ? phrases.measures.angleTitle : SAY.angleSecond;
    case "ellipse":
      return phrases.measures.ellipseTitle;
    case "window":
      return phrases.windows.dragTitle;
  }
}
