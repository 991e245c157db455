/**
 * Marks that are drawn on OHIF's viewports while a tool of Segmend is chosen: the main button is ours then, and everything
 * else (the wheel, the other buttons, and all buttons when no tool is chosen) stays OHIF's.
 */

import { type Affine, boxBetween, type Index, lineTo, sameIndex } from "../geometry";
import type { Prompt } from "../api";
import { indexAt } from "./place";
import type { Viewport } from "./viewer";

export type Tool = "click" | "box" | "stroke" | "lasso";

export interface Chosen {
  readonly tool: Tool;
  readonly positive: boolean;
  readonly radius: number; // voxels
  readonly affine: Affine;
  readonly shape: Index;
}

export interface Board {
  /** What is chosen; null leaves the pointer to OHIF. */
  chosen(): Chosen | null;
  /** The viewport of the series under an element, which becomes the active one. */
  viewportAt(element: Element): Viewport | null;
  place(prompt: Prompt, viewport: Viewport): void;
  /** A lasso was drawn across slices. */
  crooked(): void;
}

const SVG = "http://www.w3.org/2000/svg";
const TAKEN = ["mousedown", "mouseup", "mousemove", "click", "dblclick", "touchstart", "touchmove", "touchend"];

/** Listen to the pointer; returns what ends that. */
export function listen(board: Board): () => void {
  let drawing: Stroke | null = null;
  const down = (event: PointerEvent): void => {
    const chosen = board.chosen();
    if (chosen === null || event.button !== 0 || !event.isPrimary || !(event.target instanceof Element)) return;
    const viewport = board.viewportAt(event.target);
    if (viewport === null) return;
    take(event);
    drawing = new Stroke(viewport, chosen, event);
  };
  const move = (event: PointerEvent): void => {
    if (drawing === null || !event.isPrimary) return;
    take(event);
    drawing.move(event);
  };
  const up = (event: PointerEvent): void => {
    if (drawing === null || !event.isPrimary) return;
    take(event);
    const prompt = event.type === "pointerup" ? drawing.prompt() : null;
    const { viewport } = drawing;
    drawing.end();
    drawing = null;
    if (prompt === "crooked") board.crooked();
    else if (prompt !== null) board.place(prompt, viewport);
  };
  const also = (event: globalThis.Event): void => {
    if (drawing !== null) take(event);
  };
  const options = { capture: true, passive: false };
  window.addEventListener("pointerdown", down, options);
  window.addEventListener("pointermove", move, options);
  window.addEventListener("pointerup", up, options);
  window.addEventListener("pointercancel", up, options);
  for (const name of TAKEN) window.addEventListener(name, also, options);
  return () => {
    drawing?.end();
    window.removeEventListener("pointerdown", down, options);
    window.removeEventListener("pointermove", move, options);
    window.removeEventListener("pointerup", up, options);
    window.removeEventListener("pointercancel", up, options);
    for (const name of TAKEN) window.removeEventListener(name, also, options);
  };
}

function take(event: globalThis.Event): void {
  event.preventDefault();
  event.stopImmediatePropagation();
}

/** One mark while the button is down. */
class Stroke {
  readonly viewport: Viewport;
  readonly #chosen: Chosen;
  readonly #positive: boolean;
  readonly #canvas: DOMRect;
  readonly #points: [number, number][] = []; // of the viewport's canvas
  readonly #voxels: Index[] = [];
  readonly #begunInside: boolean;
  readonly #picture: SVGSVGElement;

  constructor(viewport: Viewport, chosen: Chosen, event: PointerEvent) {
    this.viewport = viewport;
    this.#chosen = chosen;
    this.#positive = chosen.positive !== event.shiftKey;
    this.#canvas = (viewport.element.querySelector("canvas") ?? viewport.element).getBoundingClientRect();
    this.#picture = document.createElementNS(SVG, "svg");
    this.#picture.style.cssText = "position:absolute;inset:0;width:100%;height:100%;pointer-events:none;z-index:5";
    viewport.element.append(this.#picture);
    this.#begunInside = this.#add(event);
    this.#draw();
  }

  #add(event: PointerEvent): boolean {
    const point: [number, number] = [event.clientX - this.#canvas.left, event.clientY - this.#canvas.top];
    const { affine, shape } = this.#chosen;
    const { index, inside } = indexAt(affine, shape, this.viewport.canvasToWorld([...point]));
    this.#points.push(point);
    const last = this.#voxels.at(-1);
    if (last === undefined) this.#voxels.push(index);
    else this.#voxels.push(...lineTo(last, index));
    return inside;
  }

  move(event: PointerEvent): void {
    const seen = event.getCoalescedEvents();
    for (const one of seen.length > 0 ? seen : [event]) this.#add(one);
    this.#draw();
  }

  #draw(): void {
    const colour = this.#positive ? "#4ade80" : "#f87171";
    const shape = document.createElementNS(SVG, this.#chosen.tool === "box" ? "rect" : "polyline");
    const [first, last] = [this.#points[0], this.#points[this.#points.length - 1]];
    if (this.#chosen.tool === "box") {
      shape.setAttribute("x", String(Math.min(first[0], last[0])));
      shape.setAttribute("y", String(Math.min(first[1], last[1])));
      shape.setAttribute("width", String(Math.abs(first[0] - last[0])));
      shape.setAttribute("height", String(Math.abs(first[1] - last[1])));
    } else {
      const points = this.#chosen.tool === "click" ? [first, [first[0] + 0.1, first[1]]] : this.#points;
      shape.setAttribute("points", points.map((point) => point.join(",")).join(" "));
    }
    shape.setAttribute("fill", "none");
    shape.setAttribute("stroke", colour);
    shape.setAttribute("stroke-width", this.#chosen.tool === "click" ? "8" : "2");
    shape.setAttribute("stroke-linecap", "round");
    this.#picture.replaceChildren(shape);
  }

  /** Return the mark; null where it is none, "crooked" for a lasso that lies in no slice. */
  prompt(): Prompt | "crooked" | null {
    const { tool, radius } = this.#chosen;
    const [first, last] = [this.#voxels[0], this.#voxels[this.#voxels.length - 1]];
    const positive = this.#positive;
    if (tool === "click") return this.#begunInside ? { kind: "click", index: first, positive } : null;
    if (tool === "box") return sameIndex(first, last) ? null : { kind: "box", ...boxBetween(first, last) };
    if (tool === "stroke") return { kind: "stroke", points: this.#voxels, positive, radius };
    const axis = flatAxis(this.#voxels);
    if (axis === null) return "crooked";
    return this.#voxels.length < 3 ? null : { kind: "lasso", points: this.#voxels, axis, positive };
  }

  end(): void {
    this.#picture.remove();
  }
}

/** Return the axis along which all voxels are the same, null where there is none. */
export function flatAxis(voxels: readonly Index[]): 0 | 1 | 2 | null {
  const flat = ([0, 1, 2] as const).find((axis) => voxels.every((voxel) => voxel[axis] === voxels[0][axis]));
  return flat ?? null;
}
