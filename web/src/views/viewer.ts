/** The panes of the opened case, side by side or one alone, and which of them are shown. */

import type { Actions } from "../actions";
import { gridOf, planeOfView, type Spec } from "../arrange";
import { h } from "../dom";
import { type Opened, panesOf } from "../state";
import { press } from "../tools/press";
import { Pane } from "./pane";
import { Render } from "./render";

export class Viewer {
  readonly element = h("div", { class: "viewer", "data-layout": "grid" });
  #all = new Map<string, Pane>(); // by id; those of layouts that were left stay, hidden
  panes: readonly Pane[] = []; // those that are shown
  #render: Render | null = null;
  #opened: Opened | null = null;

  constructor(readonly actions: Actions) {
    const store = actions.store;
    store.on(["opened", "layout", "main"], ({ opened, layout }) => {
      this.element.dataset.layout = layout;
      if (opened !== this.#opened) this.#clear(opened);
      this.#arrange();
    });
    store.on(["maskVersion"], ({ maskChange }) => {
      for (const pane of this.#all.values()) pane.maskChanged(maskChange);
      for (const pane of this.panes) pane.redraw();
      this.#render?.changed();
    });
    store.on(
      [
        "contrast",
        "colours",
        "image",
        "looks",
        "labels",
        "label",
        "masked",
        "hidden",
        "arrived",
        "crosshair",
        "cursors",
      ],
      () => this.#render?.redraw(),
    );
    store.on(
      [
        "arrived",
        "crosshair",
        "crosshairs",
        "cursors",
        "contrast",
        "colours",
        "image",
        "looks",
        "fused",
        "fusedOpacity",
        "slab",
        "thickness",
        "opacity",
        "outline",
        "masked",
        "hidden",
        "smooth",
        "labels",
        "label",
        "views",
        "draft",
        "moving",
        "editing",
        "cut",
        "brush",
        "events",
        "done",
        "pending",
        "unsent",
        "radius",
        "tool",
        "reach",
        "reachMm",
        "locked",
        "points",
        "uncertain",
        "uncertaintyVersion",
        "ring",
        "aiming",
        "hovered",
        "rulers",
        "leg",
        "preview",
        "robot",
        "tiled",
      ],
      () => {
        for (const pane of this.panes) pane.redraw();
      },
    );
  }

  #clear(opened: Opened | null): void {
    for (const pane of this.#all.values()) pane.destroy();
    this.#all = new Map();
    this.panes = [];
    this.#render?.destroy();
    this.#render = null;
    this.#opened = opened;
    this.element.replaceChildren();
  }

  /** Show the panes of the layout, in its order; each is made when it is first shown, 3D among them. */
  #arrange(): void {
    const { state } = this.actions.store;
    const opened = this.#opened;
    if (opened === null) return;
    const specs = panesOf(state).filter(({ plane }) => plane !== "render" || opened.planes.length > 1);
    const { rows, columns } = gridOf(state.layout, specs.length);
    const large = state.layout === "main" && specs.length > 1;
    this.element.style.gridTemplate = large
      ? "repeat(2, minmax(0, 1fr)) / minmax(0, 2fr) minmax(0, 1fr)"
      : `repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr))`;
    const shown = new Set<HTMLElement>();
    this.panes = specs.flatMap((spec, place) => {
      const made = spec.plane === "render" ? this.#threeD(opened) : this.#pane(opened, spec);
      if (made === null) return [];
      shown.add(made.element);
      made.element.style.order = String(place);
      made.element.style.gridRow = large && place === 0 ? "1 / span 2" : "";
      return made instanceof Pane ? [made] : [];
    });
    for (const child of this.element.children) if (child instanceof HTMLElement) child.hidden = !shown.has(child);
    for (const pane of this.panes) pane.redraw();
    this.#render?.redraw();
  }

  #pane(opened: Opened, spec: Spec): Pane | null {
    const plane = planeOfView(spec.id, opened.planes);
    if (plane === undefined) return null;
    let pane = this.#all.get(spec.id);
    if (pane === undefined) {
      pane = new Pane(this.actions, opened, plane, spec);
      press(pane);
      this.#all.set(spec.id, pane);
      this.element.append(pane.element);
    }
    return pane;
  }

  /** Return the 3D picture, prepared once it is on the page. */
  #threeD(opened: Opened): Render {
    if (this.#render === null) {
      this.#render = new Render(this.actions, opened);
      this.element.append(this.#render.element);
    }
    return this.#render;
  }
}
