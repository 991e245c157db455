/** One plane of the opened case: its picture, the mask over it, the marks, and the pointer. */

import type { Actions } from "../actions";
import type { Spec } from "../arrange";
import { h, icon, iconButton } from "../dom";
import {
  extentOf,
  type Index,
  indexAt,
  nearestIndexAt,
  type Plane,
  pixelOf,
  type Point,
  project,
  type Projection,
  spacingOf,
  toPixel,
  toScreen,
  type View,
  wholeView,
  type Box,
} from "../geometry";
import { isLocked, rangesOf } from "../locks";
import { fill, isolated, phrases } from "../phrases";
import { isSized, placeAt, words } from "../rulers";
import type { Colour } from "../slices";
import {
  cursorOf,
  imageName,
  isPromptTool,
  type Mark,
  marksOf,
  type Opened,
  seriesOf,
  type State,
  thicknessOf,
  type Tool,
} from "../state";
import { short } from "../words";
import {
  drawAim,
  drawCut,
  drawHandles,
  drawPaint,
  drawPrompt,
  drawRing,
  drawToolIcon,
  iconOfTool,
  outlineBrush,
  type Place,
  placeOf,
} from "./marks";
import { areaOf, lengthWords, levelShown, scaleBar, scaleLimits, type Seen, seenBy, suits } from "../slide";
import { Pictures } from "./pictures";
import { drawRuler } from "./rulers";

const TITLES = phrases.planes;
const SAY = phrases.locks;
const NO_OUTLINE: readonly Tool[] = ["navigate", "window", "ruler", "angle", "ellipse"];
const NARROW = 420; // CSS pixels of a pane whose title reaches its middle
const SLABS = { max: "MIP", mean: phrases.panes.mean, min: "MinIP" } as const;
const WHITE: Colour = [255, 255, 255]; // of a robot's marks
const AXES_COLOURS = { axial: "#e0b354", coronal: "#6fbf8b", sagittal: "#6ea8e0" } as const;

/** Say whether a mark is a box whose handles the tool grabs. */
const hasHandles = (tool: Tool, { position, event }: Mark): boolean =>
  (tool === "box" || tool === "navigate") && position >= 0 && event.event === "prompted" && event.prompt.kind === "box";

export class Pane {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #slider: HTMLInputElement;
  readonly #title: HTMLElement;
  readonly #lock: HTMLButtonElement;
  readonly #strip: HTMLElement;
  readonly #pictures: Pictures;
  readonly #spacing: Index;
  #locks = ""; // that are shown
  #size: Point = [1, 1];
  #frame = 0;
  readonly #observer: ResizeObserver;

  constructor(
    readonly actions: Actions,
    readonly opened: Opened,
    readonly plane: Plane,
    readonly spec: Spec,
  ) {
    const shape = opened.volume.shape;
    this.#spacing = spacingOf(opened.volume.affine);
    this.#pictures = new Pictures(opened, plane, spec);
    const name = opened.photo ? TITLES.photograph : TITLES[plane.name];
    this.canvas = h("canvas", {
      class: "pane-canvas",
      tabindex: "0",
      role: "application", // its keys are the page's, not those of a program that reads it out
      "aria-describedby": "status-voxel",
      "aria-label": fill(phrases.panes.view, { plane: name, name: opened.case.name }),
      "data-plane": plane.name,
      "data-pane": spec.id,
    });
    this.#context = this.canvas.getContext("2d")!;
    this.#title = h("span", { class: "pane-title" });
    const slices = shape[plane.normal];
    this.#slider = h("input", {
      type: "range",
      class: "pane-slider",
      min: 0,
      max: slices - 1,
      step: 1,
      hidden: slices === 1,
      "aria-label": fill(phrases.panes.slice, { plane: name }),
      oninput: () => {
        const next: [number, number, number] = [...this.cursor];
        next[plane.normal] = Number(this.#slider.value);
        this.actions.views.setCrosshair(next, spec.id);
      },
    });
    this.#lock = iconButton(
      "unlock",
      SAY.lock,
      () => {
        this.actions.marks.lockSlice(plane, spec.id);
      },
      "U",
    );
    this.#lock.classList.add("small", "pane-lock");
    this.#lock.hidden = slices === 1;
    this.#strip = h("div", { class: "slice-strip", "aria-hidden": "true", hidden: true });
    const expand = iconButton("expand", fill(phrases.panes.alone, { plane: name }), () => {
      const { layout, several } = this.#store.state;
      this.actions.views.setLayout(layout === plane.name ? several : plane.name);
    });
    expand.classList.add("small", "pane-expand");
    expand.hidden = shape[0] === 1;
    this.element = h(
      "section",
      { class: "pane", "data-plane": plane.name, "aria-label": name },
      this.canvas,
      h("div", { class: "pane-head" }, this.#title, h("span", { class: "spacer" }), this.#lock, expand),
      this.#slider,
      this.#strip,
    );
    this.element.style.setProperty("--plane", opened.photo ? "transparent" : AXES_COLOURS[plane.name]);
    this.#observer = new ResizeObserver(() => {
      this.#resize();
    });
    this.#observer.observe(this.canvas);
  }

  get #store(): Actions["store"] {
    return this.actions.store;
  }

  /** The voxel through which this pane shows its slice: the crosshair, or one of its own. */
  get cursor(): Index {
    return cursorOf(this.#store.state, this.spec.id);
  }

  get slice(): number {
    return this.cursor[this.plane.normal];
  }

  get view(): View {
    return this.#store.state.views[this.spec.id] ?? wholeView(this.plane, this.opened.volume.shape);
  }

  set view(view: View) {
    this.actions.views.setView(this.spec.id, this.view, view);
  }

  get size(): Point {
    return this.#size;
  }

  /** How far the picture may be zoomed: a slide until its pixels are large, or all of it is small. */
  get zooms(): readonly [number, number] {
    const { onSlide } = this.opened;
    if (onSlide === null) return [0.5, 60];
    const one = this.seen.scaleX / this.view.zoom;
    const [least, most] = scaleLimits(onSlide.tiles.slide, this.#size);
    return [least / one, most / one];
  }

  /** How the slide, of which this is a field of view, lies in the pane. */
  get seen(): Seen {
    const { onSlide } = this.opened;
    return seenBy(this.projection, onSlide?.field ?? { level: 0, low: [0, 0], high: [0, 0] });
  }

  /** Say whether what is seen, or a place in it, can be marked in this field of view; true where this is no slide. */
  suits(at?: Point): boolean {
    const { onSlide } = this.opened;
    return onSlide === null || suits(onSlide.tiles.slide, onSlide.field, this.seen, this.#size, at);
  }

  /** Return the scale of another picture at zoom 1: CSS pixels of one of its pixels. */
  fitOf(shape: Index, spacing: Index): number {
    return project(this.plane, shape, spacing, wholeView(this.plane, shape), this.#size).scaleX;
  }

  get projection(): Projection {
    return project(this.plane, this.opened.volume.shape, this.#spacing, this.view, this.#size);
  }

  /** Return where a pointer event lies, in CSS pixels of the canvas. */
  at(event: MouseEvent): Point {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** Return the voxel under a pointer event, null beside the picture. */
  indexUnder(event: MouseEvent): Index | null {
    return indexAt(this.plane, this.opened.volume.shape, this.slice, toPixel(this.projection, this.at(event)));
  }

  /** Return the voxel of the picture nearest to a pointer event. */
  indexNear(event: MouseEvent): Index {
    return nearestIndexAt(this.plane, this.opened.volume.shape, this.slice, toPixel(this.projection, this.at(event)));
  }

  /** Return the place under a pointer event, between voxels where it lies so. */
  placeOf(event: MouseEvent): Index {
    return placeAt(this.plane, this.opened.volume.shape, this.slice, toPixel(this.projection, this.at(event)));
  }

  /** Return where the middle of a voxel of this slice is on the page. */
  screenOf(index: Index): Point {
    const [u, v] = pixelOf(this.plane, this.opened.volume.shape, index);
    const [x, y] = toScreen(this.projection, [u + 0.5, v + 0.5]);
    const box = this.canvas.getBoundingClientRect();
    return [box.left + x, box.top + y];
  }

  destroy(): void {
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Note that the mask changed in a box, or, with null, everywhere; it is seen when the pane is drawn again. */
  maskChanged(box: Box | null): void {
    this.#pictures.maskChanged(box);
  }

  /** Draw in the next frame, once, however often this is called. */
  redraw(): void {
    if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#draw(this.#store.state);
      });
    }
  }

  #resize(): void {
    const box = this.canvas.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) return;
    this.#size = [box.width, box.height];
    const density = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(box.width * density);
    this.canvas.height = Math.round(box.height * density);
    this.#draw(this.#store.state);
  }

  #draw(state: State): void {
    if (state.opened !== this.opened || this.#size[0] <= 1) return;
    this.#pictures.paint(state, this.slice);
    const p = this.projection;
    const context = this.#context;
    const density = window.devicePixelRatio || 1;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, ...this.#size);
    context.imageSmoothingEnabled = state.smooth && Math.min(p.scaleX, p.scaleY) < 12;
    // Much smaller pictures need more than four voxels a pixel; for others that costs 20 ms a frame without a graphics card.
    context.imageSmoothingQuality = Math.min(p.scaleX, p.scaleY) < 0.5 ? "high" : "low";
    this.#drawSlide(state, p);
    this.#pictures.drawFused(context, state, p);
    if (state.masked) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = state.opacity;
      this.#pictures.drawMasks(context, state, p);
      context.globalAlpha = 1;
      if (state.uncertain) this.#pictures.drawUncertainty(context, state, p);
      if (state.outline) this.#pictures.drawEdges(context, state, p);
    }
    const change = state.preview?.change ?? state.robot?.change ?? null;
    if (change !== null) this.#pictures.drawChange(context, change, p);
    for (const prompt of state.robot?.prompts ?? []) drawPrompt(context, this.#place(p), prompt, WHITE, false);
    this.#drawCrosshair(state, p);
    if (state.masked) this.#drawMarks(state, p);
    this.#drawRulers(state, p);
    if (state.ring !== null) drawRing(this.#context, this.#place(p), state.ring);
    this.#drawPointer(state, p);
    this.#drawScale(p);
    this.#drawLetters();
    this.#label(state);
    this.#showLocks(state);
  }

  /** Draw the picture; of a slide its tiles under it, or over it where they are sharper, and the mask round it. */
  #drawSlide(state: State, p: Projection): void {
    const { onSlide } = this.opened;
    if (onSlide === null) {
      this.#pictures.drawVolume(this.#context, p);
      return;
    }
    const { field, tiles } = onSlide;
    const { seen } = this;
    const density = window.devicePixelRatio || 1;
    const sharper = levelShown(tiles.slide, seen, density) < field.level;
    if (sharper) this.#pictures.drawVolume(this.#context, p);
    tiles.draw(this.#context, seen, this.#size, density);
    if (!sharper) this.#pictures.drawVolume(this.#context, p);
    this.#context.globalAlpha = state.masked ? state.opacity : 0;
    tiles.drawMask(this.#context, seen, this.#size, density, areaOf(field));
    this.#context.globalAlpha = 1;
  }

  /** Draw how long a length of the slide is, and where the field of view ends. */
  #drawScale(p: Projection): void {
    const { onSlide } = this.opened;
    if (onSlide === null) return;
    const context = this.#context;
    const [width, height] = extentOf(this.plane, this.opened.volume.shape);
    context.save();
    context.setLineDash([6, 5]);
    context.lineWidth = 1;
    context.strokeStyle = "rgba(20, 30, 40, 0.55)";
    context.strokeRect(p.offsetX, p.offsetY, width * p.scaleX, height * p.scaleY);
    context.restore();
    const { um } = onSlide.tiles.slide;
    const { length, pixels } = scaleBar((um?.[1] ?? 1) / this.seen.scaleX);
    const words = um === null ? `${short(length)} px` : lengthWords(length);
    const [left, bottom] = [16, this.#size[1] - 18];
    context.fillStyle = "rgba(10, 12, 16, 0.72)";
    context.fillRect(left - 8, bottom - 24, pixels + 16, 34);
    context.fillStyle = "#f2f5f8";
    context.fillRect(left, bottom, pixels, 3);
    context.fillRect(left, bottom - 5, 1.5, 8);
    context.fillRect(left + pixels - 1.5, bottom - 5, 1.5, 8);
    context.font = "600 12px Inter, system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(words, left + pixels / 2, bottom - 5);
  }

  #drawCrosshair(state: State, p: Projection): void {
    if ((this.opened.planes.length === 1 || !state.crosshairs) && !state.aiming) return;
    const context = this.#context;
    const [u, v] = pixelOf(this.plane, this.opened.volume.shape, this.cursor);
    const [x, y] = toScreen(p, [u + 0.5, v + 0.5]);
    if (state.aiming && document.activeElement === this.canvas) drawAim(context, [x, y], p);
    const gap = 14;
    const other = (axis: number): string =>
      AXES_COLOURS[this.opened.planes.find((plane) => plane.normal === axis)?.name ?? "axial"];
    context.lineWidth = 1;
    context.globalAlpha = state.aiming ? 0.9 : 0.4;
    const line = (colour: string, ...points: number[]): void => {
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(points[0], points[1]);
      context.lineTo(points[2], points[3]);
      context.moveTo(points[4], points[5]);
      context.lineTo(points[6], points[7]);
      context.stroke();
    };
    line(other(this.plane.down), 0, y, x - gap, y, x + gap, y, this.#size[0], y);
    line(other(this.plane.right), x, 0, x, y - gap, x, y + gap, x, this.#size[1]);
    context.globalAlpha = 1;
  }

  /** What of the case this pane shows, and where on it. */
  get shown(): Place {
    return this.#place(this.projection);
  }

  #place(projection: Projection): Place {
    return { plane: this.plane, shape: this.opened.volume.shape, slice: this.slice, projection };
  }

  #drawMarks(state: State, p: Projection): void {
    const place = this.#place(p);
    const colourOf = (label: number): Colour =>
      state.labels.find(({ value }) => value === label)?.colour ?? [160, 160, 160];
    for (const mark of marksOf(state)) {
      if (mark.event.event === "edited" || mark.position === state.moving) continue; // an edit's work is in the mask
      if (state.hidden.includes(mark.event.label)) continue;
      drawPrompt(this.#context, place, mark.event.prompt, colourOf(mark.event.label), mark.waiting);
      if (hasHandles(state.tool, mark)) drawHandles(this.#context, place, mark.event.prompt);
      const at = mark.position === state.hovered ? placeOf(mark.event.prompt) : null;
      if (at !== null) drawRing(this.#context, place, at, "#fff");
    }
    if (state.points.length > 0) {
      drawPrompt(this.#context, place, { kind: "extremes", points: state.points }, colourOf(state.label), true);
    }
    if (state.editing?.kind === "paint") {
      drawPaint(this.#context, place, state.editing, this.#spacing, colourOf(state.label));
    }
    if (state.cut.length > 0) drawCut(this.#context, place, state.cut, state.cutAxis);
    if (state.draft !== null) drawPrompt(this.#context, place, state.draft, colourOf(state.label), false);
  }

  #drawRulers(state: State, p: Projection): void {
    const { volume, statistics } = seriesOf(this.opened, this.spec.image ?? state.image) ?? this.opened;
    const scale = { sized: isSized(volume), ct: statistics.ct };
    for (const ruler of state.leg === null ? state.rulers : [...state.rulers, state.leg]) {
      if (ruler.axis !== this.plane.normal || ruler.points[0][ruler.axis] !== this.slice) continue;
      drawRuler(this.#context, this.#place(p), ruler, words(ruler, volume, scale));
    }
  }

  /** Show the tool at the mouse, the voxel under it when it is large enough to see, and the stroke's width. */
  #drawPointer(state: State, p: Projection): void {
    const aimed = state.aiming && document.activeElement === this.canvas;
    const index = aimed ? this.cursor : state.pointer;
    if (index === null || index[this.plane.normal] !== this.slice) return;
    if (!aimed && !this.element.matches(":hover")) return;
    const context = this.#context;
    const [u, v] = pixelOf(this.plane, this.opened.volume.shape, index);
    const [x, y] = toScreen(p, [u, v]);
    const name = iconOfTool(state.tool, state.positive);
    const drawing = state.draft !== null || state.leg !== null;
    if (name !== null && !drawing) drawToolIcon(context, [x + p.scaleX / 2, y + p.scaleY / 2], name);
    if (NO_OUTLINE.includes(state.tool)) return;
    context.lineWidth = 1;
    context.strokeStyle = "rgba(255,255,255,0.8)";
    if (state.reach === "near" && isPromptTool(state.tool)) this.#drawReach(state.reachMm, [x, y], p);
    if (state.tool === "stroke") {
      context.beginPath();
      const [rx, ry] = [(state.radius + 0.5) * p.scaleX, (state.radius + 0.5) * p.scaleY];
      context.ellipse(x + p.scaleX / 2, y + p.scaleY / 2, rx, ry, 0, 0, 2 * Math.PI);
      context.stroke();
    } else if (state.tool === "paint" || state.tool === "erase") {
      outlineBrush(this.#context, this.#place(p), index, state.radius, state.brush.square, this.#spacing);
    } else if (p.scaleX > 5) {
      context.strokeRect(x, y, p.scaleX, p.scaleY);
    }
  }

  /** Draw how far the next mark reaches, round the pointer. */
  #drawReach(mm: number, [x, y]: Point, p: Projection): void {
    const context = this.#context;
    const radius = mm * (p.scaleX / this.#spacing[this.plane.right]);
    context.save();
    for (const [width, colour] of [
      [3, "rgba(8,10,14,0.55)"],
      [1.25, "#8fd3ff"],
    ] as const) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.setLineDash([5, 4]);
      context.beginPath();
      context.arc(x + p.scaleX / 2, y + p.scaleY / 2, radius, 0, 2 * Math.PI);
      context.stroke();
    }
    context.restore();
  }

  /** Show whether the slice is locked, and beside the slider which ones are. */
  #showLocks({ locked }: State): void {
    const { normal } = this.plane;
    const slices = this.opened.volume.shape[normal];
    const here = isLocked(locked, normal, this.slice);
    const ranges = rangesOf(locked, normal);
    const key = `${here} ${ranges.join()}`;
    if (key === this.#locks) return;
    this.#locks = key;
    this.element.classList.toggle("is-locked", here);
    this.#lock.setAttribute("aria-pressed", String(here));
    this.#lock.replaceChildren(icon(here ? "lock" : "unlock"));
    const words = here ? SAY.unlock : SAY.lock;
    this.#lock.title = `${words} (U)`;
    this.#lock.setAttribute("aria-label", words);
    const stops = ranges.flatMap(([from, to]) => {
      const [low, high] = [from, to].map((slice) => `${(100 * slice) / slices}%`);
      return [`transparent ${low}`, `var(--locked) ${low}`, `var(--locked) ${high}`, `transparent ${high}`];
    });
    this.#strip.hidden = stops.length === 0;
    this.#strip.style.background = stops.length === 0 ? "" : `linear-gradient(to top, ${stops.join(", ")})`;
  }

  #drawLetters(): void {
    const { edges } = this.plane;
    if (edges === null) return;
    const context = this.#context;
    const [width, height] = this.#size;
    context.font = "600 11px Inter, system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const write = (letter: string, x: number, y: number): void => {
      context.fillStyle = "rgba(0,0,0,0.6)";
      context.fillText(letter, x + 1, y + 1);
      context.fillStyle = "rgba(235,240,245,0.75)";
      context.fillText(letter, x, y);
    };
    write(edges.left, 12, height / 2);
    write(edges.right, width - 26, height / 2);
    write(edges.top, width / 2, width < NARROW ? 44 : 14); // below the title, where that would cover it
    write(edges.bottom, width / 2, height - 12);
  }

  #label(state: State): void {
    const shape = this.opened.volume.shape;
    const slices = shape[this.plane.normal];
    const { slice } = this;
    const { onSlide } = this.opened;
    const name =
      onSlide !== null ? phrases.slide.title : this.opened.photo ? TITLES.photograph : TITLES[this.plane.name];
    const thickness = thicknessOf(state, this.plane);
    const slab =
      thickness > 1 ? `  ${SLABS[state.slab]} ${short(thickness * this.#spacing[this.plane.normal])} mm` : "";
    const image = this.opened.images > 1 ? `  ${imageName(this.opened, this.spec.image ?? state.image)}` : "";
    this.#title.textContent =
      slices === 1 ? name + image : `${name}  ${isolated(`${slice + 1} / ${slices}`)}${image}${slab}`;
    this.#slider.value = String(slice);
  }
}
