/** Cases are opened, with their last session or a new one, and deleted. */

import { showAddress } from "../address";
import * as api from "../api";
import { isSeveral } from "../arrange";
import { statisticsOf } from "../contrast";
import { type Index, shownPlanes } from "../geometry";
import { LayeredMap } from "../labelmap";
import { isPhoto, partOf } from "../nifti";
import { fill, phrases } from "../phrases";
import { forgetPlace, placeOf } from "../places";
import { dimensionOf, preferences, windowFor } from "../preferences";
import { Preload } from "../preload";
import { rulersOf } from "../rulers";
import { sidesAt } from "../slide";
import { SlideTiles } from "../slidetiles";
import {
  imagesBeside,
  type Layout,
  methodsFor,
  type OnSlide,
  type Opened,
  panesOf,
  type State,
  type Store,
  withMethod,
} from "../state";
import { reportErrors } from "../toasts";
import type { Part } from "../unsent";
import { type Coming, fetchVoxels } from "../voxels";
import type { Images } from "./images";
import type { Session } from "./session";
import type { Views } from "./views";
import type { Worklist } from "./worklist";

const SAY = phrases.actions;

export class Cases {
  readonly #preload = new Preload();
  ready: Promise<unknown> = Promise.resolve(); // settled when it is known which methods there are

  constructor(
    private readonly store: Store,
    private readonly worklist: Worklist,
    private readonly session: Session,
    private readonly images: Images,
    private readonly views: Views,
  ) {}

  /** Show a case, with its last session or a new one; a volume in the layout asked for, in which it was left, or as the last one. */
  async open(id: string, layout?: Layout): Promise<void> {
    const { connection, unsent } = this.store.state;
    if (connection === "lost" && unsent.length > 0) {
      throw new Error(SAY.waitToOpen);
    }
    this.session.close();
    const abort = (this.session.opening = new AbortController());
    this.store.set({ loading: { text: SAY.loading, fraction: 0 } });
    try {
      const known = await this.worklist.list.find(id);
      if (known.slide) {
        await this.ready;
        await this.#openSlide(known, abort);
        return;
      }
      const text = fill(SAY.loadingName, { name: known.name });
      this.store.set({ loading: { text, fraction: 0 } });
      const arrived = (fraction: number): void => {
        if (!abort.signal.aborted) this.store.set({ loading: { text, fraction } });
      };
      const [coming, { session, left }, beside] = await Promise.all([
        this.#voxels(known, abort, arrived),
        this.#lastSession(id),
        api.series(id),
        this.ready,
      ]);
      if (abort.signal.aborted) return;
      this.#show(known, session, beside, coming, left, layout);
    } catch (error) {
      if (error instanceof api.ApiError && error.status === api.GONE) reportErrors(() => this.worklist.refresh());
      throw error;
    } finally {
      if (!abort.signal.aborted) this.store.set({ loading: null });
    }
  }

  /** Show a slide: all of it, with the field of view that was opened last, or one of all of it. */
  async #openSlide(known: api.Case, abort: AbortController): Promise<void> {
    const slide = await api.slide(known.id);
    const top = slide.levels - 1;
    const [columns, rows] = sidesAt(slide, top);
    const field =
      slide.fields.at(-1) ?? (await api.addField(known.id, { level: top, low: [0, 0], high: [rows, columns] }));
    const tiles = new SlideTiles(slide, () => {
      this.store.set({ tiled: this.store.state.tiled + 1 });
    });
    await this.showField(known, slide, field, tiles, abort);
  }

  /** Show a field of view of a slide; the slide lies on the screen as it did where that is told. */
  async showField(
    known: api.Case,
    slide: api.Slide,
    field: api.FieldOfView,
    tiles: SlideTiles,
    abort: AbortController,
    keepView?: () => (opened: Opened) => State["views"],
  ): Promise<void> {
    const asked = { channel: null, field: field.session, signal: abort.signal, priority: "high" } as const;
    const coming = await fetchVoxels(known.id, asked);
    const [left] = await Promise.all([this.session.unsent.adopt(field.session), coming.shown]);
    if (abort.signal.aborted) return;
    this.session.disconnect();
    const { label, labels } = this.store.state;
    const again = this.store.state.opened?.case.id === known.id; // then marks go to the label that they went to
    const view = keepView?.();
    this.#show(known, field.session, [], coming, left, undefined, { field, tiles });
    this.store.set({ pointer: null, touched: null, hovered: null, ring: null });
    this.store.set({
      slide,
      events: [],
      done: [],
      undone: [],
      pending: [],
      unsent: [],
      answered: null,
      qualities: {},
      preview: null,
    });
    if (again) this.store.set({ label, labels });
    const { opened } = this.store.state;
    if (opened !== null) this.store.set({ views: view?.(opened) ?? this.wholeSlide(opened, slide, field) });
  }

  /** Return the views in which all of a slide is seen, of a field of view of it. */
  wholeSlide(opened: Opened, slide: api.Slide, { level, low }: api.FieldOfView): State["views"] {
    const [, rows, columns] = opened.volume.shape;
    const size = 2 ** level;
    const zoom = Math.min(columns / (slide.width / size), rows / (slide.height / size));
    const centre = [slide.width / size / 2 - low[1], slide.height / size / 2 - low[0]] as const;
    return Object.fromEntries(panesOf(this.store.state).map(({ id }) => [id, { centre, zoom }]));
  }

  /** Fetch the voxels of a case, or take those that were fetched ahead; resolves when enough of them are there. */
  async #voxels(known: api.Case, abort: AbortController, arrived: (part: number) => void): Promise<Coming> {
    const ahead = this.#preload.take(known.id);
    abort.signal.addEventListener("abort", () => {
      ahead?.abort.abort();
    });
    const asked = { channel: null, signal: abort.signal, priority: "auto" } as const;
    const coming = await (ahead?.coming ?? fetchVoxels(known.id, asked, placeOf(known.id)?.crosshair[0] ?? null));
    coming.onArrived = arrived;
    await coming.shown;
    return coming;
  }

  /** Return a case's last session, or a new one, with what closed tabs have left for it. */
  async #lastSession(id: string): Promise<{ session: string; left: readonly Part[] }> {
    const all = await api.sessions(id);
    const session = (all.at(-1) ?? (await api.addSession(id))).id;
    return { session, left: await this.session.unsent.adopt(session) };
  }

  #show(
    known: api.Case,
    session: string,
    beside: readonly api.SeriesInfo[],
    coming: Coming,
    left: readonly Part[],
    layout?: Layout,
    onSlide: OnSlide | null = null,
  ): void {
    const { volume } = coming;
    const photo = isPhoto(volume, known.modality);
    const statistics = statisticsOf(volume, known.modality);
    const planes = shownPlanes(volume.shape, volume.affine, photo);
    const flat = volume.shape[0] === 1;
    const place = onSlide === null ? placeOf(known.id) : null;
    const middle: Index = [volume.shape[0] >> 1, volume.shape[1] >> 1, volume.shape[2] >> 1];
    const opened: Opened = {
      case: known,
      session,
      volume,
      statistics,
      modality: known.modality,
      photo,
      images: (volume.rgb ? 1 : Math.max(1, known.channels)) + beside.length,
      beside,
      others: new Map(),
      planes,
      maps: new LayeredMap(volume.shape),
      onSlide,
      uncertainty: null,
      resumed: false,
      asked: 0,
    };
    this.store.set({
      opened,
      work: known,
      contrast: windowFor(statistics, known.modality),
      crosshair: place?.crosshair ?? middle,
      ...this.#layoutFor(opened, layout ?? place?.layout ?? preferences().layout ?? "grid"),
      views: {},
      cursors: {},
      reach: flat && this.store.state.reach === "slice" ? "whole" : this.store.state.reach,
      thickness: 0,
      image: 0,
      looks: {},
      fused: null,
      measured: null,
      rulers: rulersOf(onSlide === null ? known.id : session),
      arrived: partOf(volume),
      leg: null,
      draft: null,
      moving: null,
      editing: null,
      cut: [],
      positive: true,
      overwrite: false,
      aiming: false,
      label: 0,
      masked: true,
      hidden: [],
      maskVersion: this.store.state.maskVersion + 1,
      maskChange: null,
      project: this.store.state.project?.name === known.project ? this.store.state.project : null,
      ...this.#methodFor(flat),
    });
    reportErrors(() => this.#findProject(opened));
    if (partOf(volume) < 1) this.images.follow(opened, coming);
    if (this.store.state.layout === "series") this.views.setLayout("series");
    showAddress(known.id);
    this.session.connect(opened, left);
  }

  /** Fetch what the case's project says of its cases. */
  async #findProject(opened: Opened): Promise<void> {
    const project = (await api.projects()).find(({ name }) => name === opened.case.project) ?? null;
    if (this.store.state.opened === opened) this.store.set({ project });
  }

  /** Return the layout that was asked for, where the case has what it shows, and the one to go back to from one alone. */
  #layoutFor(opened: Opened, asked: Layout): { layout: Layout; several: Layout } {
    const { planes } = opened;
    const images = imagesBeside(opened).length;
    const fits = (layout: Layout): Layout => (layout === "series" && images === 1 ? "grid" : layout);
    const several = fits(preferences().several ?? this.store.state.several);
    if (planes.length === 1 && asked !== "series") return { layout: planes[0].name, several };
    const layout = planes.length === 1 && images === 1 ? planes[0].name : fits(asked);
    return { layout, several: isSeveral(layout) ? layout : several };
  }

  /** Return the method last chosen for such images, else the one in use where it takes them, else the first that does. */
  #methodFor(flat: boolean): Pick<State, "method" | "points" | "tool"> {
    const { methods, method } = this.store.state;
    const usable = methodsFor(methods, flat, null);
    const named = (name: string | undefined): api.Method | undefined => usable.find(({ id }) => id === name);
    const chosen = preferences().methods?.[dimensionOf(flat ? 1 : 2)];
    const best = named(chosen) ?? named(method) ?? named("mend") ?? usable.at(0);
    return withMethod(this.store.state, best?.id ?? "");
  }

  async delete(id: string): Promise<void> {
    if (this.store.state.opened?.case.id === id) {
      this.session.close();
      history.replaceState(null, "", " ");
    }
    await api.deleteCase(id);
    forgetPlace(id);
    if (this.store.state.left?.id === id) this.store.set({ left: null });
    await this.worklist.refresh();
  }

  /** Fetch the voxels of the case that will probably be next. */
  async preload(): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const next = await this.worklist.list.next(opened.case.id, { open: true });
    if (next !== null && this.store.state.opened === opened) this.#preload.start(next);
  }

  /** Make a time of the open case a case of its own, and open that. */
  async openTime(frame: number): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const made = await api.addFrame(opened.case.id, frame);
    await this.open(made.id);
    await this.worklist.list.loadWith(made.id);
    this.store.set({ cases: this.worklist.list.known });
  }
}
