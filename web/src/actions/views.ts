/** How the open case is looked at: slices, parts of them, windows and layouts. */

import * as api from "../api";
import { followView, isSeveral, planeOfView } from "../arrange";
import { type Contrast, presetsOf } from "../contrast";
import { clamp, type Index, isInView, type View, wholeView } from "../geometry";
import { centreViews, nextRank, whyNot } from "../look";
import { cursorOf, imagesBeside, type Layout, type Opened, panesOf, seriesOf, type Store } from "../state";
import { reportErrors, toast } from "../toasts";
import type { Images } from "./images";

const RING_MS = 4000;

export class Views {
  #looking = false; // for an uncertain place
  #ringing: ReturnType<typeof setTimeout> | undefined;
  pressing: string | undefined; // the id of the pane that a gesture is under way in

  constructor(
    private readonly store: Store,
    private readonly images: Images,
  ) {}

  /** Go to a slice of the image's own, where one is in the others. */
  goToSlice(z: number): void {
    const [, y, x] = this.store.state.crosshair;
    this.setCrosshair([z, y, x]);
  }

  setContrast(contrast: Contrast): void {
    this.store.set({ contrast });
  }

  /** Move the crosshair, and all panes with it; that of one pane alone where they are not linked and `pane` names it. */
  setCrosshair(index: Index, pane = this.pressing): void {
    const { opened, linkedSlices, cursors } = this.store.state;
    if (opened === null) return;
    const { shape } = opened.volume;
    const at = (axis: 0 | 1 | 2): number => clamp(index[axis], 0, shape[axis] - 1);
    const crosshair: Index = [at(0), at(1), at(2)];
    if (linkedSlices || pane === undefined) this.store.set({ crosshair, cursors: {} });
    else this.store.set({ crosshair, cursors: { ...cursors, [pane]: crosshair } });
  }

  /** Let panes show slices of their own from now on, or all of them those through one crosshair. */
  linkSlices(linkedSlices: boolean): void {
    const { crosshair } = this.store.state;
    const ids = linkedSlices ? [] : panesOf(this.store.state).map(({ id }) => [id, crosshair] as const);
    this.store.set({ linkedSlices, cursors: Object.fromEntries(ids) });
  }

  /** Show a part of a plane in one pane, and in all of them where they are linked. */
  setView(pane: string, before: View, view: View): void {
    const { opened, views, linkedZoom } = this.store.state;
    if (opened === null) return;
    const from = planeOfView(pane, opened.planes);
    const others: Record<string, View> = {};
    for (const { id } of linkedZoom ? panesOf(this.store.state) : []) {
      const plane = planeOfView(id, opened.planes);
      if (plane === undefined || from === undefined) continue;
      const own = views[id] ?? wholeView(plane, opened.volume.shape);
      others[id] = followView(own, plane, from, before, view, opened.volume.shape);
    }
    this.store.set({ views: { ...views, ...others, [pane]: view } });
  }

  setLayout(layout: Layout): void {
    const { opened, several, main, plane } = this.store.state;
    if (opened === null || (opened.planes.length === 1 && layout !== "series")) return;
    this.store.set({
      layout,
      several: isSeveral(layout) ? layout : several,
      main: isSeveral(layout) ? (plane ?? main) : main,
    });
    if (!this.store.state.linkedSlices) this.linkSlices(false);
    if (layout !== "series") return;
    for (const image of imagesBeside(opened)) if (image !== null) reportErrors(() => this.images.fetch(opened, image));
  }

  /** Take the next of the windows that this image is offered, or the one before. */
  stepWindow(by: 1 | -1): void {
    const { opened, contrast, image } = this.store.state;
    const series = opened === null ? null : seriesOf(opened, image);
    if (series === null) return;
    const presets = presetsOf(series.statistics, series.volume.rgb);
    const now = presets.findIndex((one) => one.contrast.low === contrast.low && one.contrast.high === contrast.high);
    const next = now < 0 ? 0 : (now + by + presets.length) % presets.length;
    this.setContrast(presets[next].contrast);
  }

  setWindow(number: number): void {
    const { opened, image } = this.store.state;
    const series = opened === null ? null : seriesOf(opened, image);
    const preset = series === null ? undefined : presetsOf(series.statistics, series.volume.rgb).at(number - 1);
    if (preset !== undefined) this.setContrast(preset.contrast);
  }

  /** Move the crosshair by keys: it is shown in pictures, too, and kept in view. */
  aimAt(index: Index, pane?: string): void {
    const { opened } = this.store.state;
    if (opened === null) return;
    this.setCrosshair(index, pane);
    const { crosshair, views } = this.store.state;
    const hidden = Object.entries(views).filter(([id, view]) => {
      const plane = planeOfView(id, opened.planes);
      return plane !== undefined && !isInView(view, plane, opened.volume.shape, crosshair);
    });
    const moved = centreViews(Object.fromEntries(hidden), opened.planes, opened.volume.shape, crosshair);
    this.store.set({ aiming: true, views: { ...views, ...moved } });
  }

  /** Bring the place of a mark into view, and ring it for a moment. */
  showMark(place: Index): void {
    const { opened } = this.store.state;
    if (opened !== null) this.#showPlace(opened, place);
  }

  /** Go to where the last answer is most uncertain, then to the next such place; a message says why when there is none. */
  async look(): Promise<void> {
    const { opened, uncertaintyOf, uncertainPlace } = this.store.state;
    const reason = whyNot(this.store.state);
    if (reason !== null) toast(reason);
    if (reason !== null || opened === null || this.#looking) return;
    this.#looking = true;
    try {
      const { position, rank, place, inside } = await api.uncertain(opened.session, nextRank(uncertainPlace));
      if (
        this.store.state.opened !== opened ||
        this.store.state.uncertaintyOf !== uncertaintyOf ||
        position !== uncertaintyOf
      )
        return;
      this.store.set({ uncertainPlace: { rank, place, inside: inside ?? false } });
      if (place !== null) this.#showPlace(opened, place);
    } finally {
      this.#looking = false;
    }
  }

  /** Bring a voxel into view, and ring it for a moment. */
  #showPlace(opened: Opened, place: Index): void {
    const { layout, several, views } = this.store.state;
    this.setCrosshair(place);
    this.store.set({
      ring: place,
      views: centreViews(views, opened.planes, opened.volume.shape, place),
      layout: layout === "render" ? several : layout, // 3D alone shows no slice
    });
    clearTimeout(this.#ringing);
    this.#ringing = setTimeout(() => {
      this.store.set({ ring: null });
    }, RING_MS);
  }

  /** Scroll a plane by some slices. */
  scroll(axis: 0 | 1 | 2, by: number, pane?: string): void {
    const next: [number, number, number] = [...cursorOf(this.store.state, pane)];
    next[axis] += by;
    this.setCrosshair(next, pane);
  }
}
