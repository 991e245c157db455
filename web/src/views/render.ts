/** The 3D picture: the surface of each label, as the server makes them, and the axial slice at the crosshair. */

import type { Actions } from "../actions";
import * as api from "../api";
import { coloursOf } from "../colours";
import { h, iconButton, set } from "../dom";
import { extentOf, type Plane } from "../geometry";
import { drawnByProcessor } from "../graphics";
import { fill, phrases } from "../phrases";
import { paintVolume } from "../slices";
import { cursorOf, lookOf, type Opened, seriesOf, type State } from "../state";
import {
  axesOf,
  type Ball,
  ballOf,
  cornersOf,
  type Gaze,
  matrixOf,
  normalsOf,
  project,
  readSurface,
  START,
  turned,
  type Vector,
  zoomed,
} from "../surfaces";
import { zoomOf } from "../wheel";
import { type Mesh, Scene } from "./scene";

const SAY = phrases.panes;
const PAUSE = 250; // ms after the last change of the mask until 3D follows
const PER_PIXEL = 0.01; // radians
const STEP = 0.15; // radians a key
const SLICE_OPACITY = 0.85;
const OTHERS_OPACITY = 0.45; // of labels that are not chosen, so that what lies inside them is seen
const LETTERS = { R: [1, 0, 0], L: [-1, 0, 0], A: [0, 1, 0], P: [0, -1, 0], S: [0, 0, 1], I: [0, 0, -1] } as const;

export class Render {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly #letters: HTMLElement;
  readonly #note: HTMLElement;
  readonly #ball: Ball;
  readonly #plane: Plane;
  readonly #meshes = new Map<number, { readonly tag: string; readonly mesh: Mesh }>();
  readonly #observer: ResizeObserver;
  #scene: Scene | null = null;
  #gaze: Gaze = START;
  #sliced = true;
  #slice = ""; // what the slice's picture shows
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fetching = false;
  #stale = true; // the mask has changed since its surfaces were asked for
  #destroyed = false;

  constructor(
    readonly actions: Actions,
    readonly opened: Opened,
  ) {
    this.#ball = ballOf(opened.volume.affine, opened.volume.shape);
    this.#plane = opened.planes.find(({ name }) => name === "axial") ?? opened.planes[0];
    this.canvas = h("canvas", {
      class: "pane-canvas",
      tabindex: "0",
      role: "application",
      "aria-label": fill(SAY.renderView, { name: opened.case.name }),
    });
    this.#letters = h("div", { class: "render-letters", "aria-hidden": "true" });
    this.#note = h("p", { class: "render-note" }, SAY.preparing);
    const expand = iconButton("expand", fill(SAY.alone, { plane: phrases.planes.render }), () => {
      const { layout, several } = actions.store.state;
      actions.views.setLayout(layout === "render" ? several : "render");
    });
    expand.classList.add("small", "pane-expand");
    const sliced = h(
      "button",
      {
        type: "button",
        class: "chip render-slice",
        "aria-pressed": "true",
        title: SAY.sliceTitle,
        onclick: () => {
          this.#sliced = !this.#sliced;
          set(sliced, "aria-pressed", String(this.#sliced));
          this.redraw();
        },
      },
      SAY.sliceInRender,
    );
    this.element = h(
      "section",
      { class: "pane render", "data-plane": "render", "aria-label": phrases.planes.render },
      this.canvas,
      this.#letters,
      h(
        "div",
        { class: "pane-head" },
        h("span", { class: "pane-title" }, phrases.planes.render),
        h("span", {}, sliced, expand),
      ),
      this.#note,
    );
    this.#observer = new ResizeObserver(() => {
      this.redraw();
    });
    this.#listen();
    requestAnimationFrame(() => {
      setTimeout(() => {
        this.#start(); // the planes are drawn first
      }, 50);
    });
  }

  #start(): void {
    if (this.#destroyed) return;
    try {
      this.#scene = new Scene(this.canvas);
    } catch (error) {
      this.#note.textContent = SAY.noWebgl;
      console.warn("3D could not start:", error);
      return;
    }
    this.#note.remove();
    this.#observer.observe(this.canvas);
    this.changed();
  }

  #listen(): void {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (start) => {
      canvas.setPointerCapture(start.pointerId);
    });
    canvas.addEventListener("pointermove", (move) => {
      if (!canvas.hasPointerCapture(move.pointerId)) return;
      this.#look(turned(this.#gaze, -move.movementX * PER_PIXEL, move.movementY * PER_PIXEL));
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#look(zoomed(this.#gaze, zoomOf(event)));
    });
    canvas.addEventListener("dblclick", () => {
      this.#look(START);
    });
    canvas.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (turn === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.#look(turned(this.#gaze, turn[0] * STEP, turn[1] * STEP));
    });
  }

  #look(gaze: Gaze): void {
    this.#gaze = gaze;
    this.redraw();
  }

  /** The mask changed: its surfaces are asked for when nothing more comes for a while. */
  changed(): void {
    this.#stale = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#fetch(), PAUSE);
  }

  /** Fetch the surfaces of labels whose voxels are others than those shown, one after the other. */
  async #fetch(): Promise<void> {
    const { store } = this.actions;
    if (this.#fetching || this.#scene === null || !this.#stale || !this.#isShown()) return;
    if (store.state.pending.length + store.state.unsent.length > 0) {
      this.changed();
      return;
    }
    this.#fetching = true;
    this.#stale = false;
    try {
      for (const { value } of store.state.labels) await this.#fetchLabel(value);
    } catch (error) {
      console.warn("A surface did not arrive:", error); // the next change asks for it again
    } finally {
      this.#fetching = false;
    }
    if (this.#isStale()) this.changed();
  }

  async #fetchLabel(label: number): Promise<void> {
    const found = await api.surface(this.opened.session, label, this.#meshes.get(label)?.tag ?? "");
    if (found === null || this.#scene === null || this.#destroyed) return;
    const surface = readSurface(found.content);
    const before = this.#meshes.get(label);
    if (before !== undefined) this.#scene.remove(before.mesh);
    const mesh = this.#scene.mesh(surface.vertices, normalsOf(surface), surface.corners);
    this.#meshes.set(label, { tag: found.tag, mesh });
    this.redraw();
  }

  #isStale(): boolean {
    return this.#stale;
  }

  #isShown(): boolean {
    return !this.#destroyed && !this.element.hidden && this.actions.store.state.opened === this.opened;
  }

  /** Draw in the next frame, once, however often this is called. */
  redraw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#stale && this.#isShown()) this.changed();
      this.#draw(this.actions.store.state);
    });
  }

  #draw(state: State): void {
    const scene = this.#scene;
    const box = this.canvas.getBoundingClientRect();
    if (scene === null || box.width < 2 || !this.#isShown()) return;
    const density = drawnByProcessor() ? 0.5 : window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * density), Math.round(box.height * density)];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const matrix = matrixOf(this.#gaze, this.#ball, width / height);
    const { towards } = axesOf(this.#gaze);
    scene.begin(width, height);
    const labels = state.masked
      ? state.labels.filter(({ value }) => this.#meshes.has(value) && !state.hidden.includes(value))
      : [];
    const chosen = labels.filter(({ value }) => value === state.label);
    const others = labels.filter(({ value }) => value !== state.label);
    const alone = labels.length === 1;
    for (const { value, colour, opacity } of alone ? labels : chosen) {
      scene.drawMesh(this.#meshes.get(value)!.mesh, matrix, towards, colour, opacity);
    }
    if (this.#sliced) {
      this.#paintSlice(scene, state);
      scene.drawSlice(matrix, SLICE_OPACITY);
    }
    for (const { value, colour, opacity } of alone ? [] : others) {
      scene.drawMesh(this.#meshes.get(value)!.mesh, matrix, towards, colour, OTHERS_OPACITY * opacity);
    }
    this.#writeLetters(matrix, box.width, box.height);
  }

  /** Paint the slice's picture where it shows another slice, image or window than before. */
  #paintSlice(scene: Scene, state: State): void {
    const series = seriesOf(this.opened, state.image);
    if (series === null) return;
    const { shape, affine } = this.opened.volume;
    const { contrast, colours } = lookOf(state, state.image, series);
    const slice = cursorOf(state, "axial")[this.#plane.normal];
    const key = `${state.image} ${slice} ${contrast.low} ${contrast.high} ${colours} ${state.arrived}`;
    if (key === this.#slice) return;
    this.#slice = key;
    const picture = new ImageData(...extentOf(this.#plane, shape));
    const painting = colours === "Grey" ? {} : { colours: coloursOf(colours) };
    paintVolume(series.volume, this.#plane, slice, contrast, picture.data, painting);
    scene.setSlice(picture, cornersOf(this.#plane, shape, affine, slice));
  }

  /** Write the patient's sides where they lie; those that point away are faint. */
  #writeLetters(matrix: Float32Array, width: number, height: number): void {
    const { centre, radius } = this.#ball;
    const spans = Object.entries(LETTERS).map(([letter, way]) => {
      const place = centre.map((value, i) => value + 0.86 * radius * way[i]) as unknown as Vector;
      const [x, y, z] = project(matrix, place);
      const span = h("span", {}, letter);
      span.style.left = `${((1 + x) / 2) * width}px`;
      span.style.top = `${((1 - y) / 2) * height}px`;
      span.style.opacity = z > 0.3 ? "0.35" : "0.9";
      return span;
    });
    this.#letters.replaceChildren(...spans);
  }

  destroy(): void {
    this.#destroyed = true;
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#observer.disconnect();
    this.#scene?.destroy();
  }
}
