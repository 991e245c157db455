/** Drawing prompts over a plane's picture. */

import type { Edit, Prompt } from "../api";
import { type Axis, type Index, type Plane, pixelOf, type Point, type Projection, rectOf, toScreen } from "../geometry";
import { type IconName, ICONS } from "../dom";
import { handlesOf } from "../handles";
import type { Colour } from "../slices";
import type { Tool } from "../state";

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

/** Draw what a box is moved and resized by: its sides, its corners, and its middle. */
export function drawHandles(context: CanvasRenderingContext2D, place: Place, prompt: Prompt): void {
  context.save();
  context.lineWidth = 1;
  context.strokeStyle = "rgba(8,10,14,0.8)";
  context.fillStyle = "#fff";
  for (const { part, at } of handlesOf(prompt, place)) {
    context.beginPath();
    if (part.kind === "whole") context.arc(...at, 4, 0, 2 * Math.PI);
    else context.rect(at[0] - 3, at[1] - 3, 6, 6);
    context.fill();
    context.stroke();
  }
  context.restore();
}

/** Return what the pointer carries with it: a click's sign, or the tool; null for nothing. */
export function iconOfTool(tool: Tool, positive: boolean): IconName | null {
  if (tool === "click") return positive ? "plus" : "minus";
  return tool === "navigate" ? null : tool;
}

/** Draw a tool's icon to the lower right of the pointer. */
export function drawToolIcon(context: CanvasRenderingContext2D, [x, y]: Point, name: IconName): void {
  const path = new Path2D(ICONS[name]);
  context.save();
  context.translate(x + 10, y + 10);
  context.scale(0.6, 0.6);
  for (const [width, colour] of [
    [5, "rgba(8,10,14,0.75)"],
    [2, "#fff"],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke(path);
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
    case "drawn":
    case "mask": {
      if (prompt.kind === "mask" && prompt.shape.every((side) => side === 1)) return null; // which asks for a first guess
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

/** Return half a brush's width and height on the screen, with the half voxel that it covers beyond its radius. */
function brushSize({ plane, projection }: Place, radius: number, spacing: Index): Point {
  const unit = Math.min(spacing[plane.right], spacing[plane.down]); // a radius counts voxels of the finer side
  const along = (step: number): number => Math.floor((radius * unit) / step + 1e-5) + 0.5;
  return [along(spacing[plane.right]) * projection.scaleX, along(spacing[plane.down]) * projection.scaleY];
}

/** Draw what a brush passes over, while it is pressed. */
export function drawPaint(
  context: CanvasRenderingContext2D,
  place: Place,
  edit: Extract<Edit, { kind: "paint" }>,
  spacing: Index,
  colour: Colour,
): void {
  const points = edit.points.filter((point) => point[place.plane.normal] === place.slice);
  if (points.length === 0) return;
  const [rx, ry] = brushSize(place, edit.radius, spacing);
  const path = new Path2D();
  context.save();
  context.fillStyle = context.strokeStyle = edit.positive ? css(colour, 0.6) : "rgba(8,10,14,0.65)";
  if (edit.square) {
    for (const point of points) {
      const [x, y] = middle(place, point);
      path.rect(x - rx, y - ry, 2 * rx, 2 * ry);
    }
    context.fill(path);
  } else {
    points.forEach((point, i) => {
      const [x, y] = middle(place, point);
      if (i === 0) path.moveTo(x, y);
      path.lineTo(x, y);
    });
    context.lineCap = "round";
    context.lineJoin = "round";
    context.lineWidth = 2 * Math.max(rx, ry);
    context.stroke(path);
  }
  context.restore();
}

/** Outline the brush round the voxel under the pointer. */
export function outlineBrush(
  context: CanvasRenderingContext2D,
  place: Place,
  index: Index,
  radius: number,
  square: boolean,
  spacing: Index,
): void {
  const [x, y] = middle(place, index);
  const [rx, ry] = brushSize(place, radius, spacing);
  context.beginPath();
  if (square) context.rect(x - rx, y - ry, 2 * rx, 2 * ry);
  else context.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
  context.stroke();
}

/** Draw the line of a cut, in the slice it was drawn in. */
export function drawCut(context: CanvasRenderingContext2D, place: Place, points: readonly Index[], axis: Axis): void {
  if (axis !== place.plane.normal || points[0][axis] !== place.slice) return;
  const path = new Path2D();
  points.forEach((point, i) => {
    const [x, y] = middle(place, point);
    if (i === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  });
  for (const [width, colour] of [
    [5, "rgba(8,10,14,0.7)"],
    [2, "#ffe04d"],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke(path);
  }
}
