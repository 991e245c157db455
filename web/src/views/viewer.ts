/** The planes and the 3D picture of the opened case, side by side or one alone. */

import type { Actions } from "../actions";
import { h } from "../dom";
import type { Opened } from "../state";
import { press } from "../tools/press";
import { Pane } from "./pane";
import { Render } from "./render";

export class Viewer {
  readonly element = h("div", { class: "viewer", "data-layout": "grid" });
  panes: readonly Pane[] = [];
  #render: Render | null = null;
  #opened: Opened | null = null;

  constructor(readonly actions: Actions) {
    const store = actions.store;
    store.on(["opened"], ({ opened }) => {
      if (opened !== this.#opened) this.#show(opened);
    });
    store.on(["layout"], ({ layout }) => {
      this.element.dataset.layout = layout;
      this.#start();
    });
    store.on(["maskVersion"], ({ maskChange }) => {
      for (const pane of this.panes) pane.maskChanged(maskChange);
      this.#render?.changed(maskChange);
    });
    store.on(["contrast", "labels", "masked"], () => this.#render?.later());
    store.on(
      [
        "crosshair",
        "contrast",
        "opacity",
        "outline",
        "masked",
        "smooth",
        "labels",
        "label",
        "views",
        "draft",
        "editing",
        "cut",
        "brush",
        "events",
        "done",
        "pending",
        "unsent",
        "radius",
        "tool",
        "points",
        "uncertain",
        "uncertaintyVersion",
        "ring",
        "aiming",
        "hovered",
      ],
      () => {
        for (const pane of this.panes) pane.redraw();
      },
    );
  }

  #show(opened: Opened | null): void {
    for (const pane of this.panes) pane.destroy();
    this.#render?.destroy();
    this.#render = null;
    this.#opened = opened;
    this.panes = opened?.planes.map((plane) => new Pane(this.actions, opened, plane)) ?? [];
    this.panes.forEach(press);
    this.element.replaceChildren(...this.panes.map((pane) => pane.element));
    this.#start();
  }

  /** Prepare 3D only for a volume and only once it is on the page. */
  #start(): void {
    if (this.#opened === null || this.#render !== null || this.#opened.planes.length === 1) return;
    const { layout } = this.actions.store.state;
    if (layout !== "grid" && layout !== "render") return;
    this.#render = new Render(this.actions, this.#opened);
    this.element.append(this.#render.element);
  }
}
