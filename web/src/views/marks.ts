/** Drawing prompts over a plane's picture. */

import type { Prompt } from "../api";
import { type Index, type Plane, pixelOf, type Point, type Projection, rectOf, toScreen } from "../geometry";
import type { Colour } from "../slices";

export interface Place {
  readonly plane: Plane;
  readonly shape: Index;
  readonly slice: number;
  readonly projection: Projection;
}

const css = (colour: Colour, alpha = 1): string => `rgba(${colour.join()},${alpha})`;

/** Draw what of a prompt lies in the slice; dashed while its answer is awaited. */
export function drawPrompt(
  context: CanvasRenderingContext2D,
  place: Place,
  prompt: Prompt,
  colour: Colour,
  waiting: boolean,
): void {
  context.save();
  switch (prompt.kind) {
    case "click":
      if (prompt.index[place.plane.normal] === place.slice) {
        drawPoint(context, middle(place, prompt.index), colour, prompt.positive, waiting);
      }
      break;
    case "stroke":
      drawStroke(context, place, prompt, colour, waiting);
      break;
    case "lasso":
      drawLasso(context, place, prompt, colour, waiting);
      break;
    case "extremes":
      for (const point of prompt.points) {
        if (point[place.plane.normal] === place.slice)
          drawPoint(context, middle(place, point), colour, true, waiting, 3);
      }
      break;
    case "box":
      drawBox(context, place, prompt, colour, waiting);
      break;
    default:
      break;
  }
  context.restore();
}

/** Frame the voxel that Enter would mark, and the middle of the crosshair. */
export function drawAim(context: CanvasRenderingContext2D, [x, y]: Point, { scaleX, scaleY }: Projection): void {
  const [width, height] = [Math.max(scaleX, 5), Math.max(scaleY, 5)];
  for (const [line, colour] of [
    [3, "rgba(8,10,14,0.7)"],
    [1.25, "#fff"],
  ] as const) {
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.strokeRect(x - width / 2, y - height / 2, width, height);
  }
}

/** Return a voxel in the middle of a prompt, null for one without a place. */
export function placeOf(prompt: Prompt): Index | null {
  const between = (low: Index, high: Index): Index => {
    const at = (axis: 0 | 1 | 2): number => (low[axis] + high[axis] - 1) >> 1;
    return [at(0), at(1), at(2)];
  };
  switch (prompt.kind) {
    case "click":
      return prompt.index;
    case "stroke":
    case "lasso":
    case "extremes":
      return prompt.points[prompt.points.length >> 1] ?? null;
    case "box":
      return between(prompt.low, prompt.high);
    case "mask": {
      if (prompt.shape.every((side) => side === 1)) return null; // which asks for a first guess
      const high = (axis: 0 | 1 | 2): number => prompt.low[axis] + prompt.shape[axis];
      return between(prompt.low, [high(0), high(1), high(2)]);
    }
    case "adjust":
      return null;
  }
}

/** Ring a voxel that lies in the slice, to draw the eye there. */
export function drawRing(context: CanvasRenderingContext2D, place: Place, index: Index, ring = "#ff5cff"): void {
  if (index[place.plane.normal] !== place.slice) return;
  const [x, y] = middle(place, index);
  for (const [width, colour] of [
    [6, "rgba(8,10,14,0.6)"],
    [2.5, ring],
  ] as const) {
    context.beginPath();
    context.arc(x, y, 20, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function middle({ plane, shape, projection }: Place, index: Index): Point {
  const [u, v] = pixelOf(plane, shape, index);
  return toScreen(projection, [u + 0.5, v + 0.5]);
}

function drawPoint(
  context: CanvasRenderingContext2D,
  [x, y]: Point,
  colour: Colour,
  positive: boolean,
  waiting: boolean,
  radius = 6.5,
): void {
  const disc = (size: number, fill: string): void => {
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fillStyle = fill;
    context.fill();
  };
  disc(radius + 2.5, "rgba(8,10,14,0.55)");
  disc(radius + 1.25, positive ? "#fff" : css(colour));
  disc(radius, positive ? css(colour) : "#12161d");
  if (radius > 4) {
    context.strokeStyle = "#fff";
    context.lineWidth = 1.75;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(x - 3, y);
    context.lineTo(x + 3, y);
    if (positive) {
      context.moveTo(x, y - 3);
      context.lineTo(x, y + 3);
    }
    context.stroke();
  }
  if (waiting) {
    context.setLineDash([3, 3]);
    context.strokeStyle = "#fff";
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x, y, radius + 5, 0, 2 * Math.PI);
    context.stroke();
  }
}

function drawStroke(
  context: CanvasRenderingContext2D,
  place: Place,
  prompt: Extract<Prompt, { kind: "stroke" }>,
  colour: Colour,
  waiting: boolean,
): void {
  const points = prompt.points.filter((point) => point[place.plane.normal] === place.slice);
  if (points.length === 0) return;
  const path = new Path2D();
  points.forEach((point, i) => {
    const [x, y] = middle(place, point);
    if (i === 0) path.moveTo(x, y);
    path.lineTo(x, y);
  });
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = (2 * prompt.radius + 1) * Math.min(place.projection.scaleX, place.projection.scaleY);
  context.strokeStyle = prompt.positive ? css(colour, 0.35) : "rgba(8,10,14,0.45)";
  context.stroke(path);
  context.lineWidth = 3.5;
  context.strokeStyle = "rgba(8,10,14,0.7)";
  context.stroke(path);
  context.lineWidth = 1.75;
  if (waiting) context.setLineDash([4, 4]);
  else if (!prompt.positive) context.setLineDash([2, 5]);
  context.strokeStyle = prompt.positive ? "#fff" : css(colour);
  context.stroke(path);
}

function drawLasso(
  context: CanvasRenderingContext2D,
  place: Place,
  prompt: Extract<Prompt, { kind: "lasso" }>,
  colour: Colour,
  waiting: boolean,
): void {
  if (prompt.axis !== place.plane.normal || prompt.points[0][prompt.axis] !== place.slice) return;
  const path = new Path2D();
  prompt.points.forEach((point, i) => {
    const [x, y] = middle(place, point);
    if (i === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  });
  path.closePath();
  context.lineJoin = "round";
  context.lineWidth = 3.5;
  context.strokeStyle = "rgba(8,10,14,0.6)";
  context.stroke(path);
  context.lineWidth = 1.75;
  context.setLineDash(waiting ? [3, 3] : prompt.positive ? [] : [2, 5]);
  context.strokeStyle = prompt.positive ? "#fff" : css(colour);
  context.stroke(path);
}

function drawBox(
  context: CanvasRenderingContext2D,
  place: Place,
  prompt: Extract<Prompt, { kind: "box" }>,
  colour: Colour,
  waiting: boolean,
): void {
  const rect = rectOf(place.plane, place.shape, place.slice, prompt);
  if (rect === null) return;
  const [x, y] = toScreen(place.projection, [rect.u, rect.v]);
  const [width, height] = [rect.width * place.projection.scaleX, rect.height * place.projection.scaleY];
  context.lineWidth = 3.5;
  context.strokeStyle = "rgba(8,10,14,0.6)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = 1.75;
  context.setLineDash(waiting ? [3, 3] : [7, 4]);
  context.strokeStyle = css(colour);
  context.strokeRect(x, y, width, height);
}
