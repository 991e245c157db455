/** What the chosen tool wants next, in a sentence. */

import type { State } from "./state";

const ENDS = ["left", "right", "top", "bottom"];

type Asked = Pick<State, "tool" | "points" | "positive" | "cut" | "opened" | "drawing">;

/** Return the sentence for the line at the bottom; "" where there is nothing to say. */
export function hintOf({ tool, points, positive, cut, opened, drawing }: Asked): string {
  if (opened === null) return "";
  const flat = opened.planes.length === 1;
  if (drawing) {
    const depth = tool === "box" && !flat ? ", Page Up and Page Down give depth" : "";
    return `Arrows draw${depth}; Enter puts it down, Esc calls it off`;
  }
  const what = positive ? "the object" : "what is not the object";
  switch (tool) {
    case "click":
      return `Click on ${what}; drag a mark to move it`;
    case "stroke":
      return `Draw over ${what}; [ and ] change the width`;
    case "box":
      return flat
        ? "Drag from corner to corner; drag its handles to change it"
        : "Drag from corner to corner, turning the wheel for depth; its handles change it in every plane";
    case "lasso":
      return `Draw round ${what}`;
    case "extremes":
      return points.length === 0
        ? `Click ${ENDS.join(", ")} of the object in one slice`
        : `Click ${ENDS.join(", ")}: ${points.length} of ${ENDS.length}`;
    case "paint":
    case "erase":
      return `Draw to ${tool}; [ and ] change the brush`;
    case "cut":
      return cut.length === 0 ? "Draw a line across the mask" : "Click the part that goes";
    case "island":
      return "Click a part to erase it, with Shift to keep it alone; a hole to fill it";
    case "threshold":
      return "Draw round the area whose values are to be kept to";
    case "navigate":
      return flat ? "Drag to move the picture, or a mark" : "Drag to move the crosshair, or a mark";
    default:
      return "";
  }
}
