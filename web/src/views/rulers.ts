/** Measurements drawn over a pane's slice. */

import { pixelOf, type Point, toScreen } from "../geometry";
import type { Ruler } from "../rulers";
import type { Place } from "./marks";

const COLOUR = "#ffd84d";
const FONT = "600 12px Inter, system-ui, sans-serif";
const LINE = 15; // px

/** Draw a measurement where it lies in the slice that is shown, with what it says beside it. */
export function drawRuler(
  context: CanvasRenderingContext2D,
  place: Place,
  ruler: Ruler,
  said: readonly string[],
): void {
  if (ruler.axis !== place.plane.normal || ruler.points[0][ruler.axis] !== place.slice) return;
  const points = ruler.points.map((index): Point => {
    const [u, v] = pixelOf(place.plane, place.shape, index);
    return toScreen(place.projection, [u + 0.5, v + 0.5]);
  });
  const path = new Path2D();
  if (ruler.kind === "ellipse") {
    const [[x0, y0], [x1, y1]] = points;
    path.ellipse((x0 + x1) / 2, (y0 + y1) / 2, Math.abs(x1 - x0) / 2, Math.abs(y1 - y0) / 2, 0, 0, 2 * Math.PI);
  } else {
    path.moveTo(...points[0]);
    for (const point of points.slice(1)) path.lineTo(...point);
    for (const [x, y] of points) {
      path.moveTo(x + 3, y);
      path.arc(x, y, 3, 0, 2 * Math.PI);
    }
  }
  context.lineWidth = 3;
  context.strokeStyle = "rgba(0,0,0,0.55)";
  context.stroke(path);
  context.lineWidth = 1.5;
  context.strokeStyle = COLOUR;
  context.stroke(path);
  const at = points.reduce((a, b) => (b[0] > a[0] ? b : a));
  write(context, said, at[0] + 8, at[1]);
}

function write(context: CanvasRenderingContext2D, lines: readonly string[], x: number, y: number): void {
  context.font = FONT;
  context.textAlign = "left";
  context.textBaseline = "middle";
  lines.forEach((line, i) => {
    const top = y + (i - (lines.length - 1) / 2) * LINE;
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0,0,0,0.75)";
    context.strokeText(line, x, top);
    context.fillStyle = COLOUR;
    context.fillText(line, x, top);
  });
}
