/** The images of the open case: its own, those beside it, and times. */

import type { ColourMap } from "../colours";
import { statisticsOf } from "../contrast";
import { clamp } from "../geometry";
import { partOf } from "../nifti";
import { phrases } from "../phrases";
import { MOST_BYTES } from "../preload";
import { lookOf, type Opened, type Series, seriesInfo, seriesOf, type Store } from "../state";
import { reportErrors, toast } from "../toasts";
import { type Coming, fetchVoxels } from "../voxels";
import type { Session } from "./session";

const SAY = phrases.actions;

export class Images {
  constructor(
    private readonly store: Store,
    private readonly session: Session,
  ) {}

  /** Show the slices that still come as they come; the values of all of them are known at the end. */
  follow(opened: Opened, coming: Coming, series: Series = opened): void {
    const { store } = this;
    coming.onArrived = (arrived) => {
      if (store.state.opened === opened) store.set({ arrived });
    };
    coming.whole.then(
      () => {
        if (store.state.opened !== opened) return;
        series.statistics = statisticsOf(series.volume, series.modality);
        store.set({ arrived: 1 });
      },
      () => {
        if (store.state.opened === opened) toast(SAY.partMissing, "error", {});
      },
    );
  }

  /** Show the next time of the open case, or the one before. */
  stepTime(by: 1 | -1): void {
    const { opened } = this.store.state;
    if (opened?.case.timed !== true) return;
    const last = opened.images - opened.beside.length - 1;
    reportErrors(() => this.setImage(clamp(opened.asked + by, 0, last)));
  }

  /** Choose an image of the case: its window and colours are set from now on, and shown where a pane has none of its own. */
  async setImage(image: number): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    opened.asked = image;
    const series = await this.fetch(opened, image);
    const { state } = this.store;
    if (series === null || state.opened !== opened || opened.asked !== image || state.image === image) return;
    const sameScale = opened.case.timed && [image, state.image].every((one) => seriesInfo(opened, one) === null);
    const { contrast, colours } = sameScale ? state : lookOf(state, image, series);
    const looks = { ...state.looks, [state.image]: { contrast: state.contrast, colours: state.colours } };
    this.store.set({ image, contrast, colours, looks, fused: state.fused === image ? null : state.fused });
  }

  /** Lay an image over the chosen one, in colours that stand out from grey; null: none. */
  async fuse(image: number | null): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const series = image === null ? null : await this.fetch(opened, image);
    const { state } = this.store;
    if (state.opened !== opened) return;
    if (image === null || series === null) {
      this.store.set({ fused: null });
      return;
    }
    const look = state.looks[image] ?? { contrast: series.statistics.auto, colours: "PET" };
    this.store.set({ fused: image, looks: { ...state.looks, [image]: look } });
  }

  /** Set the colours of the image that is laid over the chosen one. */
  setFusedColours(colours: ColourMap): void {
    const { fused, looks } = this.store.state;
    if (fused !== null) this.store.set({ looks: { ...looks, [fused]: { ...looks[fused], colours } } });
  }

  /** Return one of the case's images, fetched where it has not been; null where the case is closed meanwhile. */
  async fetch(opened: Opened, image: number): Promise<Series | null> {
    const known = seriesOf(opened, image);
    if (known !== null) return known;
    const { signal } = this.session.opening ?? new AbortController();
    const info = seriesInfo(opened, image);
    const asked = { channel: info === null ? image : null, series: info?.id, signal, priority: "auto" } as const;
    const coming = await fetchVoxels(opened.case.id, asked, this.store.state.crosshair[0]);
    await coming.shown;
    if (this.store.state.opened !== opened) return null;
    const modality = info?.modality ?? opened.case.modality;
    const series: Series = { volume: coming.volume, statistics: statisticsOf(coming.volume, modality), modality };
    this.#makeRoom(opened, series);
    opened.others.set(image, series);
    this.store.set({ looks: { ...this.store.state.looks } }); // panes that wait for it show it
    if (partOf(coming.volume) < 1) this.follow(opened, coming, series);
    return series;
  }

  /** Forget times of a case that are not shown, the oldest first, where all that were looked at take much memory. */
  #makeRoom(opened: Opened, coming: Series): void {
    if (!opened.case.timed) return;
    const { image, fused } = this.store.state;
    let size = coming.volume.values.byteLength;
    for (const { volume } of opened.others.values()) size += volume.values.byteLength;
    for (const [known, { volume }] of [...opened.others]) {
      if (size <= MOST_BYTES) return;
      if (known === image || known === fused) continue;
      opened.others.delete(known);
      size -= volume.values.byteLength;
    }
  }
}
