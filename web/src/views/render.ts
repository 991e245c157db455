/** The 3D picture: NiiVue on a reduced copy, loaded when it is first shown. */

import type { Niivue } from "@niivue/niivue";
import type { Actions } from "../actions";
import { h, iconButton } from "../dom";
import { type Box, union } from "../geometry";
import { drawnByProcessor } from "../graphics";
import {
  MAX_SIDE,
  MAX_SIDE_SOFTWARE,
  niftiOf,
  reduceMask,
  reduceVolume,
  type Reduction,
  reductionOf,
} from "../reduced";
import type { Opened, State } from "../state";

const PAUSE = 120; // ms after the last change of mask or window until 3D follows
const PAUSE_SOFT = 900; // where one picture takes a good part of a second

export class Render {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly #note: HTMLElement;
  readonly #reduction: Reduction;
  #niivue: Niivue | null = null;
  #slots = new Map<number, number>(); // label -> 1 to 255, which is all that a drawing of NiiVue holds
  #dirty: Box | null;
  #contrast = "";
  #colours = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #destroyed = false;
  readonly #soft: boolean;

  constructor(
    readonly actions: Actions,
    readonly opened: Opened,
  ) {
    this.#soft = drawnByProcessor();
    this.#reduction = reductionOf(opened.volume.shape, opened.volume.affine, this.#soft ? MAX_SIDE_SOFTWARE : MAX_SIDE);
    this.#dirty = { low: [0, 0, 0], high: opened.volume.shape };
    this.canvas = h("canvas", { class: "pane-canvas", "aria-label": `3D view of ${opened.case.name}`, role: "img" });
    this.#note = h("p", { class: "render-note" }, "Preparing 3D");
    const expand = iconButton("expand", "Show 3D alone, or all planes", () => {
      const { layout, several } = actions.store.state;
      actions.setLayout(layout === "render" ? several : "render");
    });
    expand.classList.add("small", "pane-expand");
    this.element = h(
      "section",
      { class: "pane render", "data-plane": "render", "aria-label": "3D" },
      this.canvas,
      h("div", { class: "pane-head" }, h("span", { class: "pane-title" }, "3D"), expand),
      this.#note,
    );
    requestAnimationFrame(() => {
      setTimeout(() => void this.#start(), 50); // the planes are drawn first
    });
  }

  async #start(): Promise<void> {
    if (this.#destroyed) return;
    try {
      const { Niivue, SLICE_TYPE } = await import("@niivue/niivue");
      if (this.#gone()) return;
      const niivue = new Niivue({
        backColor: [0.039, 0.047, 0.063, 1],
        show3Dcrosshair: false,
        isColorbar: false,
        isOrientCube: false,
        isOrientationTextVisible: false,
        dragAndDropEnabled: false,
        clipPlaneHotKey: "",
        cycleClipPlaneHotKey: "",
        viewModeHotKey: "",
        loadingText: "",
        sliceType: SLICE_TYPE.RENDER,
        isResizeCanvas: true,
        smoothDrawing: this.#soft ? 0 : 1,
        forceDevicePixelRatio: this.#soft ? 0.5 : 0,
        logLevel: "silent",
        textHeight: 0,
      });
      await niivue.attachToCanvas(this.canvas, false);
      const state = this.actions.store.state;
      const values = reduceVolume(this.opened.volume, this.#reduction, state.contrast);
      await niivue.loadFromArrayBuffer(niftiOf(this.#reduction, values), "case.nii");
      if (this.#gone()) return;
      niivue.createEmptyDrawing();
      niivue.setRenderAzimuthElevation(145, 18);
      niivue.setScale(1.15);
      this.#contrast = windowKey(state);
      this.#niivue = niivue;
      this.#note.remove();
      this.#follow();
    } catch (error) {
      this.#note.textContent = "3D is not available: this browser has no WebGL 2.";
      console.warn("3D could not start:", error);
    }
  }

  #gone(): boolean {
    return this.#destroyed;
  }

  /** The mask, the window or the colours changed: follow when the person pauses. */
  changed(box: Box | null): void {
    this.#dirty = union(this.#dirty, box ?? { low: [0, 0, 0], high: this.opened.volume.shape });
    this.later();
  }

  later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#follow();
      },
      this.#soft ? PAUSE_SOFT : PAUSE,
    );
  }

  #follow(): void {
    const niivue = this.#niivue;
    if (niivue === null || this.#destroyed) return;
    const state = this.actions.store.state;
    this.#followContrast(niivue, state);
    this.#followColours(niivue, state);
    const bitmap = niivue.drawBitmap;
    if (this.#dirty !== null && bitmap !== null) {
      reduceMask(this.opened.map, this.#reduction, this.#dirty, (label) => this.#slot(label), bitmap);
      this.#dirty = null;
      niivue.refreshDrawing(false);
    }
    niivue.setDrawOpacity(state.masked ? 1 : 0);
    niivue.drawScene();
  }

  #slot(label: number): number {
    let slot = this.#slots.get(label);
    if (slot === undefined) {
      slot = Math.min(255, this.#slots.size + 1);
      this.#slots.set(label, slot);
      this.#colours = "";
      this.later();
    }
    return slot;
  }

  #followContrast(niivue: Niivue, state: State): void {
    const key = windowKey(state);
    const volume = niivue.volumes.at(0);
    if (key === this.#contrast || volume?.img === undefined) return;
    this.#contrast = key;
    volume.img.set(reduceVolume(this.opened.volume, this.#reduction, state.contrast));
    niivue.updateGLVolume();
  }

  #followColours(niivue: Niivue, state: State): void {
    const key = JSON.stringify([state.labels.map(({ value, colour }) => [value, colour]), [...this.#slots]]);
    if (key === this.#colours) return;
    this.#colours = key;
    const lut = new Uint8ClampedArray(256 * 4);
    for (const [label, slot] of this.#slots) {
      const colour = state.labels.find(({ value }) => value === label)?.colour ?? [160, 160, 160];
      lut.set([...colour, 255], 4 * slot);
    }
    niivue.drawLut = { ...niivue.drawLut, lut };
    niivue.updateGLVolume();
  }

  destroy(): void {
    this.#destroyed = true;
    clearTimeout(this.#timer);
    this.#niivue?.cleanup();
    this.canvas.getContext("webgl2")?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** Return what names the values as they are shown: by the window, and by whether all slices are there. */
function windowKey({ contrast, arrived }: State): string {
  return `${contrast.low} ${contrast.high} ${arrived === 1 ? "whole" : "part"}`;
}
