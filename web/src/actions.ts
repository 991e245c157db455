/** What a person can do, as methods that change the store and talk to the server. */

import * as api from "./api";
import { followView, isSeveral, planeOfView } from "./arrange";
import type { ColourMap } from "./colours";
import { type Contrast, presetsOf, statisticsOf } from "./contrast";
import {
  type Box,
  clamp,
  type Index,
  isInView,
  type Plane,
  type Point,
  shownPlanes,
  spacingOf,
  type Projection,
  type View,
  wholeView,
} from "./geometry";
import { boundsOf, maskPrompt, widthIn } from "./bits";
import { CaseList } from "./caselist";
import { changeOf } from "./change";
import { changeOf as wordsOfEdit, copyOf, describeEdit } from "./edits";
import { UncertaintyMap, LabelMap, LayeredMap } from "./labelmap";
import { nextObject, objectsOf, titleOf } from "./labels";
import { isLocked, lockedUnder } from "./locks";
import { type Answered, type Handlers, Live, type Person } from "./live";
import { withAnswer } from "./enough";
import { centreViews, covering, isCalibrated, nextRank, whyNot } from "./look";
import { turnedOver } from "./handles";
import { isPhoto, partOf } from "./nifti";
import { showAddress } from "./address";
import { PALETTE } from "./palette";
import { me, setName } from "./people";
import { fill, nameOfPrompt, objectName, phrases, plural } from "./phrases";
import { forgetPlace, lastCase, placeOf } from "./places";
import { dimensionOf, preferences, windowFor } from "./preferences";
import { MOST_BYTES, Preload } from "./preload";
import { LEAST_MM, MOST_MM, type ReachKind, reachesOf, reachOf } from "./reach";
import { type Ruler, rulersOf } from "./rulers";
import { RulerSteps } from "./rulersteps";
import { may } from "./rights";
import { areaOf, areaSeen, placeUnder, regionToMark, type Seen, seenAround, sidesAt, viewAs } from "./slide";
import { SlideTiles } from "./slidetiles";
import { fold, freeValue, opening, same, stepBack } from "./session";
import {
  activePlane,
  cursorOf,
  finetuneOf,
  imagesBeside,
  isPromptTool,
  lookOf,
  methodsFor,
  type Layout,
  type OnSlide,
  type Opened,
  panesOf,
  type Series,
  seriesInfo,
  seriesOf,
  type Preview,
  type State,
  type Store,
  type Tool,
  waitingWords,
} from "./state";
import { watchRobot } from "./robot";
import { reportErrors, toast } from "./toasts";
import { type Part, Unsent } from "./unsent";
import { type Coming, fetchVoxels } from "./voxels";
import type { UncertaintyPatch, MaskPatch } from "./wire";
import { leftOut } from "./worklist";

const SAY = phrases.actions;

const MOVE_MS = 25; // between two looks whether marks have been recorded, or can be put down
const MOVE_TRIES = 120;
const READY_TRIES = 200;
const RING_MS = 4000;
const ASK_MS = 500; // between two questions whether the server is ready
const UNKNOWN = 401; // the status of a reply to who is not known to the server
const GONE = 404; // and of one about what is no longer there

/** Return a label as it is when it is made. */
function newLabel(value: number, name = objectName(value)): api.Label {
  const colour = PALETTE[(value - 1) % PALETTE.length];
  return { value, name, colour, locked: false, opacity: 1, codes: null, layer: 0, instance: null };
}

const lastUndo = (events: readonly api.Event[]): number => events.map(({ event }) => event).lastIndexOf("undone");

type Prompted = Extract<api.Event, { event: "prompted" }>;
type Edited = Extract<api.Event, { event: "edited" }>;

/** The pane that shows a slide, as far as fields of view are opened in it. */
export interface SlidePane {
  readonly opened: Opened;
  readonly spec: { readonly id: string };
  readonly size: Point;
  readonly seen: Seen;
  readonly projection: Projection;
  readonly zooms: readonly [number, number];
  view: View;
  suits(at?: Point): boolean;
  fitOf(shape: Index, spacing: Index): number;
}

export class Actions {
  readonly list = new CaseList();
  readonly #preload = new Preload();
  #live: Live | null = null;
  readonly #others = new Set<number>(); // positions of events of the open session that another page or program sent
  readonly #takenBack = new Set<number>(); // marks that this page took away by an undo
  readonly #rulerSteps = new RulerSteps();
  #asked = 0; // the image that was asked for last; others that arrive after that are not shown
  #nudge: number | null = null; // that the server is to be asked about next
  #nudging = false; // it is being asked
  #nudged = false; // the slider was released meanwhile
  #opening: AbortController | null = null;
  #looking = false; // for an uncertain place
  #finishing = false; // a case: pressing a key twice finishes one
  #asking = false; // whether the server is ready
  #ringing: ReturnType<typeof setTimeout> | undefined;
  #moving = false; // to another field of view of a slide
  slidePane: () => SlidePane | null = () => null; // that shows the open case; told by who made it
  pressing: string | undefined; // the id of the pane that a gesture is under way in
  #changes = { gained: 0, lost: 0 }; // voxels of the label that an edit under way changes

  readonly #unsent = new Unsent();

  constructor(readonly store: Store) {}

  /** Fetch the lists that the page starts from. */
  async start(): Promise<void> {
    const last = lastCase();
    const left = last === null ? null : api.oneCase(last).catch(() => null); // it may be gone
    const asked = [api.methods(), api.formats(), api.me(), this.refreshCases()] as const;
    const [methods, formats, me] = await Promise.all(asked);
    this.store.set({ methods, formats, me, left: await left });
    reportErrors(() => this.#tellLeft());
  }

  /** Tell of marks that closed tabs have left, of cases that are not open here. */
  async #tellLeft(): Promise<void> {
    for (const { session, case: id, events } of await this.#unsent.left()) {
      const known = await this.#caseIfThere(id);
      if (known === null) {
        await this.#unsent.forget(session);
        toast(fill(SAY.leftGone, { waiting: waitingWords(events) }), "error", {});
        continue;
      }
      const open = (): void => {
        reportErrors(() => this.openCase(id));
      };
      const words = fill(SAY.leftIn, { waiting: waitingWords(events), name: known.name });
      toast(words, "error", { words: SAY.openIt, act: open });
    }
  }

  /** Return a case, null where the server says that it has none such. */
  async #caseIfThere(id: string): Promise<api.Case | null> {
    try {
      return await api.oneCase(id);
    } catch (error) {
      if (error instanceof api.ApiError && error.status === GONE) return null;
      throw error;
    }
  }

  /** True when closing the page would lose something. */
  get unsafe(): boolean {
    return this.store.state.unsent.length > 0 && !this.#unsent.safe;
  }

  /** Ask until the server's method is loaded; meanwhile the page works, but answers come late. */
  async awaitReady(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (;;) {
        const { ready } = await api.health();
        this.store.set({ warming: !ready });
        if (ready) return;
        await new Promise((resolve) => setTimeout(resolve, ASK_MS));
      }
    } catch {
      this.store.set({ warming: false }); // the banner says that the connection is lost; it is asked again after that
    } finally {
      this.#asking = false;
    }
  }

  /** Fetch the list of cases again, with one of them in sight. */
  async refreshCases(seen?: string): Promise<void> {
    await this.list.refresh(seen);
    this.store.set({ cases: this.list.known });
  }

  // Cases

  /** Show a case, with its last session or a new one; a volume in the layout asked for, in which it was left, or as the last one. */
  async openCase(id: string, layout?: Layout): Promise<void> {
    const { connection, unsent } = this.store.state;
    if (connection === "lost" && unsent.length > 0) {
      throw new Error(SAY.waitToOpen);
    }
    this.closeCase();
    const abort = (this.#opening = new AbortController());
    this.store.set({ loading: { text: SAY.loading, fraction: 0 } });
    try {
      const known = await this.list.find(id);
      if (known.slide) {
        await this.#openSlide(known, abort);
        return;
      }
      const text = fill(SAY.loadingName, { name: known.name });
      this.store.set({ loading: { text, fraction: 0 } });
      const arrived = (fraction: number): void => {
        if (!abort.signal.aborted) this.store.set({ loading: { text, fraction } });
      };
      const [coming, session, beside] = await Promise.all([
        this.#voxels(known, abort, arrived),
        this.#lastSession(id),
        api.series(id),
      ]);
      const left = await this.#unsent.adopt(session);
      if (abort.signal.aborted) return;
      this.#show(known, session, beside, coming, left, layout);
    } catch (error) {
      if (error instanceof api.ApiError && error.status === GONE) reportErrors(() => this.refreshCases());
      throw error;
    } finally {
      if (!abort.signal.aborted) this.store.set({ loading: null });
    }
  }

  // Slides

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
    await this.#showField(known, slide, field, tiles, abort);
  }

  /** Show a field of view of a slide; the slide lies on the screen as it did where that is told. */
  async #showField(
    known: api.Case,
    slide: api.Slide,
    field: api.FieldOfView,
    tiles: SlideTiles,
    abort: AbortController,
    keepView?: () => (opened: Opened) => State["views"],
  ): Promise<void> {
    const asked = { channel: null, field: field.session, signal: abort.signal, priority: "high" } as const;
    const coming = await fetchVoxels(known.id, asked);
    const [left] = await Promise.all([this.#unsent.adopt(field.session), coming.shown]);
    if (abort.signal.aborted) return;
    this.#live?.close();
    this.#live = null;
    this.#others.clear();
    this.#takenBack.clear();
    this.#rulerSteps.forget();
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
    if (opened !== null) this.store.set({ views: view?.(opened) ?? this.#wholeSlide(opened, slide, field) });
  }

  /** Return the views in which all of a slide is seen, of a field of view of it. */
  #wholeSlide(opened: Opened, slide: api.Slide, { level, low }: api.FieldOfView): State["views"] {
    const [, rows, columns] = opened.volume.shape;
    const size = 2 ** level;
    const zoom = Math.min(columns / (slide.width / size), rows / (slide.height / size));
    const centre = [slide.width / size / 2 - low[1], slide.height / size / 2 - low[0]] as const;
    return Object.fromEntries(panesOf(this.store.state).map(({ id }) => [id, { centre, zoom }]));
  }

  /** Show all of the open slide. */
  showWholeSlide(): void {
    const { opened } = this.store.state;
    if (opened === null || opened.onSlide === null) return;
    this.store.set({ views: this.#wholeSlide(opened, opened.onSlide.tiles.slide, opened.onSlide.field) });
  }

  /** Open what is seen of a slide as a field of view to mark in; a click that asked for it is put down then. */
  async markHere(
    pane: SlidePane,
    click: { readonly at: Point; readonly positive: boolean } | null = null,
  ): Promise<void> {
    const { opened, tool } = this.store.state;
    if (opened === null || opened.onSlide === null || this.#moving || this.#isFinished()) return;
    const { seen, size } = pane;
    const region = regionToMark(opened.onSlide.tiles.slide, seen, size);
    if (region === null) return;
    await this.#moveTo(pane, opened.onSlide.tiles, () => api.addField(opened.case.id, region));
    if (click === null || tool !== "click" || !(await this.#ready())) return;
    const { opened: now } = this.store.state;
    if (now === null || now.onSlide === null) return;
    const { field } = now.onSlide;
    const [x, y] = placeUnder(seen, click.at).map((value) => value / 2 ** field.level);
    const index: Index = [0, Math.floor(y - field.low[0]), Math.floor(x - field.low[1])];
    if (index[1] < 0 || index[2] < 0 || index[1] >= now.volume.shape[1] || index[2] >= now.volume.shape[2]) return;
    this.setCrosshair(index);
    this.place({ kind: "click", index, positive: click.positive });
  }

  /** Go to another field of view, with the slide as it lies on the screen, or with the field in the middle. */
  async #moveTo(
    pane: SlidePane,
    tiles: SlideTiles,
    find: () => Promise<api.FieldOfView>,
    seenThen: (field: api.FieldOfView, seen: Seen) => Seen = (_, seen) => seen,
  ): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null || this.#moving) return;
    this.#moving = true;
    const abort = (this.#opening = new AbortController());
    try {
      for (let tries = 0; this.store.state.unsent.length > 0; tries++) {
        if (tries > MOVE_TRIES || this.store.state.connection !== "live") throw new Error(SAY.notSaved);
        await new Promise((resolve) => setTimeout(resolve, MOVE_MS));
      }
      const field = await find();
      const slide = await api.slide(opened.case.id);
      await this.#showField(opened.case, slide, field, tiles, abort, () => {
        const seen = seenThen(field, pane.seen); // as the slide lies now, before another picture is in the pane
        return ({ volume: { shape, affine } }) => {
          const fit = pane.fitOf(shape, spacingOf(affine));
          return { [pane.spec.id]: viewAs(seen, pane.size, field, fit) };
        };
      });
      tiles.renewMask();
    } finally {
      this.#moving = false;
    }
  }

  /** True while another field of view of a slide is being opened. */
  get isMoving(): boolean {
    return this.#moving;
  }

  /** Wait until marks can be put down; false where that takes long. */
  async #ready(): Promise<boolean> {
    for (let tries = 0; tries < READY_TRIES; tries++) {
      const { connection, labels, label, events } = this.store.state;
      if (connection === "live" && events.length > 0 && labels.some(({ value }) => value === label)) return true;
      await new Promise((resolve) => setTimeout(resolve, MOVE_MS));
    }
    return false;
  }

  /** Ask for the labels and fields of view of the slide again, whose mask may have changed. */
  async refreshSlide(): Promise<void> {
    const { opened, slide: before } = this.store.state;
    if (opened === null || opened.onSlide === null) return;
    const slide = await api.slide(opened.case.id);
    if (this.store.state.opened !== opened) return;
    this.store.set({ slide });
    if (slide.version !== before?.version) opened.onSlide.tiles.renewMask();
  }

  /** Return the field of view that was marked in before this one; null where there is none. */
  #markedBefore(): api.FieldOfView | null {
    const { opened, slide } = this.store.state;
    if (opened === null || opened.onSlide === null || slide === null) return null;
    return slide.fields.filter(({ marks, session }) => marks > 0 && session !== opened.session).at(-1) ?? null;
  }

  /** Go back to where was marked before, and take back the last step there. */
  async undoElsewhere(): Promise<void> {
    const { opened } = this.store.state;
    const [before, pane] = [this.#markedBefore(), this.slidePane()];
    if (opened === null || opened.onSlide === null || before === null || pane === null || this.#isFinished()) return;
    const { slide } = opened.onSlide.tiles;
    await this.#moveTo(
      pane,
      opened.onSlide.tiles,
      () => Promise.resolve(before),
      (field, seen) => {
        const { left, top, right, bottom } = areaOf(field);
        const [width, height] = pane.size;
        const area = areaSeen(slide, seen, pane.size);
        const inSight =
          area !== null && area.left < right && left < area.right && area.top < bottom && top < area.bottom;
        const scale = 0.9 * Math.min(width / (right - left), height / (bottom - top));
        return inSight ? seen : seenAround([(left + right) / 2, (top + bottom) / 2], scale, pane.size);
      },
    );
    if (!(await this.#ready())) return;
    toast(SAY.undoneElsewhere);
    this.undo();
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

  /** Show the slices that still come as they come; the values of all of them are known at the end. */
  #follow(opened: Opened, coming: Coming, series: Series = opened): void {
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

  async #lastSession(id: string): Promise<string> {
    const all = await api.sessions(id);
    return (all.at(-1) ?? (await api.addSession(id))).id;
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
    if (partOf(volume) < 1) this.#follow(opened, coming);
    if (this.store.state.layout === "series") this.setLayout("series");
    showAddress(known.id);
    this.#connect(opened, left);
  }

  /** Fetch what the case's project says of its cases. */
  async #findProject(opened: Opened): Promise<void> {
    const project = (await api.projects()).find(({ name }) => name === opened.case.project) ?? null;
    if (this.store.state.opened === opened) this.store.set({ project });
  }

  /** Ask the method that the project trusts for first masks of the labels that have no marks. */
  async firstMasks(): Promise<void> {
    const { opened } = this.store.state;
    if (opened !== null && !this.#isFinished()) await api.firstMasks(opened.session);
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
  #methodFor(flat: boolean): { method: string; points: []; tool: Tool } {
    const { methods, method } = this.store.state;
    const usable = methodsFor(methods, flat, null);
    const named = (name: string | undefined): api.Method | undefined => usable.find(({ id }) => id === name);
    const chosen = preferences().methods?.[dimensionOf(flat ? 1 : 2)];
    const best = named(chosen) ?? named(method) ?? named("mend") ?? usable.at(0);
    return this.#withMethod(best?.id ?? "");
  }

  closeCase(): void {
    this.#opening?.abort();
    this.store.state.opened?.onSlide?.tiles.close();
    this.#live?.close();
    this.#live = null;
    this.#others.clear();
    this.#takenBack.clear();
    this.#rulerSteps.forget();
    this.#asked = 0;
    this.store.set({
      opened: null,
      slide: null,
      people: [],
      work: null,
      labels: [],
      events: [],
      done: [],
      undone: [],
      pending: [],
      unsent: [],
      connection: "none",
      loading: null,
      answering: null,
      answered: null,
      qualities: {},
      uncertaintyOf: null,
      uncertainPlace: null,
      ring: null,
      hovered: null,
      pointer: null,
      preview: null,
      robot: null,
    });
  }

  async deleteCase(id: string): Promise<void> {
    if (this.store.state.opened?.case.id === id) {
      this.closeCase();
      history.replaceState(null, "", " ");
    }
    await api.deleteCase(id);
    forgetPlace(id);
    if (this.store.state.left?.id === id) this.store.set({ left: null });
    await this.refreshCases();
  }

  // The worklist

  /** Open the next case of the list, or the one before. */
  async openNext(back = false): Promise<void> {
    const id = this.store.state.opened?.case.id;
    if (id === undefined) {
      const first = this.list.rows.value.get(0);
      if (first !== undefined) await this.openCase(first.id);
      return;
    }
    const next = await this.list.next(id, { back });
    if (next === null) toast(back ? SAY.firstCase : SAY.lastCase);
    else await this.openCase(next.id);
  }

  /** Say that the open case is done or rejected, and go on to the next one that is to be worked on. */
  async finish(status: api.Verdict, comment: string): Promise<void> {
    const { opened, unsent } = this.store.state;
    if (opened === null || this.#finishing) return;
    if (unsent.length > 0) throw new Error(SAY.notSaved);
    this.#finishing = true;
    try {
      const id = opened.case.id;
      const next = await this.list.next(id, { open: true });
      const changed = await api.setStatus(id, status, comment);
      this.#worked(changed);
      const said = { done: SAY.isDone, rejected: SAY.isRejected, accepted: SAY.isAccepted }[status];
      toast(fill(said, { name: changed.name }), "good");
      if (next === null) toast(SAY.nothingLeft);
      else if (this.store.state.opened === opened) await this.openCase(next.id);
      await this.refreshCases(next?.id);
    } finally {
      this.#finishing = false;
    }
  }

  /** Let a case that was done or rejected be changed again. */
  async reopen(): Promise<void> {
    const { work } = this.store.state;
    if (work === null) return;
    this.#worked(await api.setStatus(work.id, "open", work.comment));
    await this.refreshCases();
  }

  /** Ask how far the open case is: its first mark began it, and marks take time. */
  async updateWork(): Promise<void> {
    const { work } = this.store.state;
    if (work === null) return;
    const before = work.status;
    const changed = await this.#caseIfThere(work.id);
    if (changed === null) return; // its connection says that it was deleted
    this.#worked(changed);
    if (changed.status !== before) await this.refreshCases();
  }

  #worked(changed: api.Case): void {
    this.list.replace(changed);
    if (this.store.state.work?.id === changed.id) this.store.set({ work: changed });
  }

  /** Fetch the voxels of the case that will probably be next. */
  async preload(): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const next = await this.list.next(opened.case.id, { open: true });
    if (next !== null && this.store.state.opened === opened) this.#preload.start(next);
  }

  /** Tell why the open case may not be changed now; false where it may. */
  #isFinished(): boolean {
    const { work, opened, image } = this.store.state;
    if (opened?.case.timed === true) {
      const open = (): void => {
        reportErrors(() => this.openTime(image));
      };
      toast(SAY.timed, "error", {
        words: SAY.openTime,
        act: open,
      });
      return true;
    }
    if (work === null || work.status === "untouched" || work.status === "begun") return false;
    const frozen = !may(this.store.state.me, "reviewer", work.project);
    const accepted = frozen ? SAY.caseFrozen : SAY.caseAccepted;
    toast({ done: SAY.caseDone, rejected: SAY.caseRejected, accepted }[work.status], "error");
    return true;
  }

  // Reading by several

  /** Open the next case that is to be read, which is this person's from then on. */
  async readNext(): Promise<void> {
    const { me } = this.store.state;
    const shown = this.list.query.value.project;
    const projects = shown !== "" ? [shown] : (await api.projects()).map(({ name }) => name);
    for (const project of projects.filter((one) => may(me, "annotator", one))) {
      const next = await api.pull(project);
      if (next !== null) {
        await this.openCase(next.id);
        await this.refreshCases(next.id);
        return;
      }
    }
    toast(SAY.nothingToRead);
  }

  /** Begin the mask that decides, as a reader has it or with what all of them agree on. */
  async beginDecision(reader: string | null): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    await api.adjudicate(opened.case.id, reader);
    await this.openCase(opened.case.id);
  }

  /** Show in two colours where a reader has the selected label and the mask that decides has not, and the reverse. */
  async showReader(reader: string): Promise<void> {
    const { label } = this.store.state;
    const take = (): void => {
      reportErrors(() => this.takeReader(reader));
    };
    const ask = (session: string): Promise<MaskPatch> => api.readerDifference(session, reader, label);
    await this.#look(null, reader, label, take, ask, true);
  }

  /** Take the selected label over as a reader has it, in one slice or in all. */
  async takeReader(reader: string, slice?: number): Promise<void> {
    const { opened, label } = this.store.state;
    if (opened === null || this.#isFinished()) return;
    const [low, high] = slice === undefined ? [0, opened.volume.shape[0]] : [slice, slice + 1];
    await api.take(opened.session, reader, label, low, high);
  }

  /** Go to a slice of the image's own, where one is in the others. */
  goToSlice(z: number): void {
    const [, y, x] = this.store.state.crosshair;
    this.setCrosshair([z, y, x]);
  }

  /** Upload files as new cases and open the first. */
  async addCases(uploads: readonly api.Upload[]): Promise<void> {
    if (uploads.length === 0) return;
    const what = uploads.length === 1 ? uploads[0].name : plural(SAY.files, uploads.length);
    await this.#adding(fill(SAY.uploading, { what }), (sent) => api.addCases(uploads, this.#projectToAddTo(), sent));
  }

  async linkCase(path: string): Promise<void> {
    await this.#adding(fill(SAY.reading, { what: path }), () => api.linkCase(path, this.#projectToAddTo()));
  }

  /** Return the project that the list shows, else the usual one, or the first that this person may add to. */
  #projectToAddTo(): string {
    const { me } = this.store.state;
    const shown = this.list.query.value.project;
    if (shown !== "" || may(me, "reviewer", "default")) return shown;
    return Object.keys(me.projects).find((project) => may(me, "reviewer", project)) ?? "";
  }

  async #adding(text: string, add: (sent: api.Sent) => Promise<api.Uploaded>): Promise<void> {
    const { cases, left_out, left_out_count, copies } = await this.#sending(text, add);
    const first = cases.at(0);
    if (first === undefined) return;
    const added = cases.length === 1 ? fill(SAY.added, { name: first.name }) : plural(SAY.addedCases, cases.length);
    toast(added, "good");
    const missing = leftOut(left_out, left_out_count);
    if (missing !== null) toast(missing, "error");
    for (const copy of copies.slice(0, 2)) toast(copy);
    await this.openCase(first.id);
    await this.list.loadChoices();
    if (!(await this.list.loadWith(first.id))) toast(SAY.allAgain);
    this.store.set({ cases: this.list.known });
  }

  /** Show how far an upload is until it has been read. */
  async #sending<T>(text: string, send: (sent: api.Sent) => Promise<T>): Promise<T> {
    this.store.set({ loading: { text, fraction: null } });
    try {
      return await send((fraction) => {
        const reading = fraction >= 1;
        this.store.set({
          loading: { text: reading ? SAY.readingFiles : text, fraction: reading ? null : fraction },
        });
      });
    } finally {
      this.store.set({ loading: null });
    }
  }

  // Series beside the case's image, and times

  /** Show other scans beside the open case's image. */
  async addSeries(uploads: readonly api.Upload[]): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null || uploads.length === 0) return;
    const id = opened.case.id;
    const what = uploads.length === 1 ? uploads[0].name : `${uploads.length} files`;
    const added = await this.#sending(`Uploading ${what}`, (sent) => api.addSeries(id, uploads, sent));
    toast(`Beside this image: ${added.map(({ name }) => name).join(", ")}.`, "good");
    if (this.store.state.opened === opened) await this.openCase(id, opened.planes.length > 1 ? "series" : undefined);
  }

  /** Take a series away that is shown beside the open case's image. */
  async removeSeries(series: string): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    await api.removeSeries(opened.case.id, series);
    if (this.store.state.opened === opened) await this.openCase(opened.case.id);
  }

  /** Make a time of the open case a case of its own, and open that. */
  async openTime(frame: number): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const made = await api.addFrame(opened.case.id, frame);
    await this.openCase(made.id);
    await this.list.loadWith(made.id);
    this.store.set({ cases: this.list.known });
  }

  /** Show the next time of the open case, or the one before. */
  stepTime(by: 1 | -1): void {
    const { opened } = this.store.state;
    if (opened?.case.timed !== true) return;
    const last = opened.images - opened.beside.length - 1;
    reportErrors(() => this.setImage(clamp(this.#asked + by, 0, last)));
  }

  // The session

  #connect(opened: Opened, left: readonly Part[]): void {
    const store = this.store;
    const handlers: Handlers = {
      state: (session) => {
        this.#forgetUncertainty(opened); // the server tells it again when it still holds
        this.#adopt(session.events, session.pending);
        this.#resume(opened, session.events);
        if (session.events.length === 0 && this.store.state.unsent.length === 0) this.addLabel(objectName(1));
      },
      map: (patch) => {
        opened.maps.clear();
        opened.maps.of(patch.layer).apply(patch);
        this.#changed(null);
      },
      ready: () => {
        store.set({ connection: "live", refused: null });
        this.#live?.introduce(me());
      },
      lost: () => {
        store.set({ connection: "lost", answering: null, people: [] });
        this.#leaveIfGone(opened);
      },
      queued: (unsent) => {
        store.set({ unsent });
      },
      keep: (parts) => {
        this.#unsent.save(opened.session, opened.case.id, parts);
      },
      accepted: (event, position, own) => {
        if (!own) this.#others.add(position);
        this.#accepted(event, position);
      },
      people: (people) => {
        this.#greet(people);
      },
      patch: (patch) => {
        this.#paint(opened, patch);
      },
      uncertainty: (patch) => {
        this.#uncertainty(opened, patch);
      },
      answered: (message) => {
        this.#answered(opened, message);
      },
      progress: (_, answering) => {
        store.set({ answering });
      },
      error: (message) => {
        this.#refresh(opened).then(
          () => {
            toast(message, "error");
          },
          (error: unknown) => {
            if (!this.#leave(opened, error)) toast(message, "error");
          },
        );
      },
    };
    this.#live = new Live(api.liveAddress(opened.session), handlers, left);
  }

  /** A session that the server no longer has, or no longer shows us, is closed instead of waited for. */
  #leaveIfGone(opened: Opened): void {
    api.session(opened.session).catch((error: unknown) => this.#leave(opened, error));
  }

  /** Close the case when an error says that its session is gone, and say what is lost with it; true when it is. */
  #leave(opened: Opened, error: unknown): boolean {
    const status = error instanceof api.ApiError ? error.status : 0;
    if (status === UNKNOWN && error instanceof Error) {
      this.store.set({ refused: error.message }); // the case stays open: its marks can be sent after the next login
      return false;
    }
    if (status < 400 || status >= 500) return false;
    const { state } = this.store;
    if (state.opened !== opened) return true;
    const count = state.unsent.length;
    this.closeCase();
    history.replaceState(null, "", " ");
    const what = status === GONE ? fill(SAY.deleted, { name: opened.case.name }) : (error as Error).message;
    toast(count === 0 ? what : `${what} ${plural(SAY.notSavedMarks, count)}`, "error", {});
    reportErrors(() => Promise.all([this.refreshCases(), this.#unsent.forget(opened.session)]));
    return true;
  }

  /** Read the events again, when others may have added some. */
  async #refresh(opened: Opened): Promise<void> {
    const session = await api.session(opened.session);
    if (this.store.state.opened === opened) this.#adopt(session.events, session.pending);
  }

  #adopt(events: readonly api.Event[], pending: readonly number[]): void {
    if (this.store.state.robot !== null) this.store.set({ robot: null }); // it played for the mask as it stood
    if (this.store.state.preview !== null) this.dropPreview(); // it was of the mask as it stood
    const { done, undone, labels, locked } = fold(events);
    const { label, unsent } = this.store.state;
    const fresh = done.length === this.#begunOf(events, done); // with the labels of its project, the first of them to begin with
    const usual = fresh ? labels.at(0) : labels.at(-1);
    const coming = unsent.some((event) => event.event === "defined" && event.label.value === label);
    const selected = coming || labels.some(({ value }) => value === label) ? label : (usual?.value ?? 0);
    this.store.set({ events, done, undone, labels, locked, pending, label: selected });
  }

  /** Take up finetuning as it was in the session, once a case. */
  #resume(opened: Opened, events: readonly api.Event[]): void {
    if (opened.resumed) return;
    opened.resumed = true;
    this.store.set({ finetune: finetuneOf(events) });
  }

  #accepted(event: api.Event, position: number): void {
    const { events, pending, opened } = this.store.state;
    if (position !== events.length) {
      if (opened !== null) reportErrors(() => this.#refresh(opened));
      return;
    }
    const waits = ["prompted", "edited", "removed", "deleted"].includes(event.event);
    this.#adopt([...events, event], waits ? [...pending, position] : pending);
    if (waits) this.store.set({ answered: null });
    if (!["prompted", "defined", "ordered", "slices_locked"].includes(event.event)) this.store.set({ qualities: {} });
    if (event.event === "edited") this.#changes = { gained: 0, lost: 0 };
    if (event.event !== "undone" && event.event !== "redone") this.#rulerSteps.goOn();
    if (!["defined", "ordered", "slices_locked"].includes(event.event)) this.#forgetUncertainty(opened); // it was of the mask as it stood
    const { label, labels, unsent } = this.store.state;
    const coming = unsent.some((other) => other.event === "defined" && other.label.value === label);
    if (event.event === "defined" && !coming && !labels.some(({ value }) => value === label)) {
      this.select(event.label.value);
    }
  }

  #answered(opened: Opened, message: Answered): void {
    const { position, milliseconds, quality, finetuned, withdrawn, state } = message;
    const event = this.store.state.events.at(position);
    const asked = event?.event === "prompted" || event?.event === "edited" || event?.event === "removed";
    const answered = withdrawn ? null : asked ? { milliseconds, quality, finetuned } : this.store.state.answered;
    if (event?.event === "edited" && event.edit.kind !== "paint" && !withdrawn) {
      const { gained, lost } = this.#changes;
      toast(wordsOfEdit(describeEdit(event.edit, this.store.state.labels), gained, lost));
    }
    this.store.set({ pending: state.pending, answering: null, answered });
    if (event?.event === "prompted" && !withdrawn) {
      const { methods, qualities } = this.store.state;
      const known = isCalibrated(methods, event.method, opened.volume.shape[0] === 1) ? quality : null;
      this.store.set({ qualities: withAnswer(qualities, event.label, known) });
    }
    const marked = event?.event === "prompted" || event?.event === "edited";
    if (marked && !withdrawn) this.#tellCovered(opened, event, message.covered_by);
    if (position >= this.store.state.events.length) reportErrors(() => this.#refresh(opened));
  }

  /** Say that another label lies where a mark was put down, and keeps its voxels. */
  #tellCovered(opened: Opened, event: Prompted | Edited, coveredBy: number | null): void {
    const { labels, label } = this.store.state;
    const there =
      coveredBy ?? (event.event === "prompted" ? covering(event, opened.maps.ofLabel(labels, event.label)) : null);
    const other = labels.find(({ value }) => value === there);
    if (other === undefined || event.label !== label) return;
    toast(fill(SAY.covered, { name: other.name, remedy: other.locked ? SAY.unlockFirst : SAY.switchOn }), "error");
  }

  #paint(opened: Opened, patch: MaskPatch): void {
    if (this.store.state.opened !== opened || patch.values.length === 0) return;
    this.#count(opened, patch);
    opened.maps.of(patch.layer).apply(patch);
    this.#changed(patch.box);
  }

  /** Count what an edit changes of its label, before it is shown. */
  #count(opened: Opened, { position, box, values, layer }: MaskPatch): void {
    const event = this.store.state.events.at(position);
    if (event?.event !== "edited") return;
    const map = opened.maps.of(layer);
    const [, rows, columns] = map.shape;
    let at = 0;
    for (let z = box.low[0]; z < box.high[0]; z++) {
      for (let y = box.low[1]; y < box.high[1]; y++) {
        const row = (z * rows + y) * columns;
        for (let x = box.low[2]; x < box.high[2]; x++, at++) {
          const was = map.values[row + x] === event.label;
          const now = values[at] === event.label;
          if (now && !was) this.#changes.gained += 1;
          if (was && !now) this.#changes.lost += 1;
        }
      }
    }
  }

  #uncertainty(opened: Opened, patch: UncertaintyPatch): void {
    if (this.store.state.opened !== opened) return;
    if (this.store.state.uncertaintyOf !== patch.position) this.#forgetUncertainty(opened); // that of an earlier answer
    opened.uncertainty ??= new UncertaintyMap(opened.maps.shape);
    opened.uncertainty.apply(patch);
    this.store.set({ uncertaintyVersion: this.store.state.uncertaintyVersion + 1, uncertaintyOf: patch.position });
  }

  #forgetUncertainty(opened: Opened | null): void {
    opened?.uncertainty?.clear();
    this.store.set({
      uncertaintyVersion: this.store.state.uncertaintyVersion + 1,
      uncertaintyOf: null,
      uncertainPlace: null,
      ring: null,
    });
  }

  #changed(box: Box | null): void {
    this.store.set({ maskVersion: this.store.state.maskVersion + 1, maskChange: box });
  }

  /** Put down a prompt on the selected label; a message says why when that cannot be. */
  place(prompt: api.Prompt): void {
    const { labels, label, methods, method, finetune, overwrite, reach, reachMm } = this.store.state;
    const target = labels.find(({ value }) => value === label);
    const card = methods.find(({ id }) => id === method);
    if (this.#isFinished()) return;
    if (target === undefined) toast(SAY.labelFirstMark, "error");
    else if (target.locked) toast(fill(SAY.lockedChange, { name: target.name }), "error");
    else if (card === undefined) toast(SAY.noMethod, "error");
    else if (!card.prompts.includes(prompt.kind))
      toast(fill(SAY.takesNo, { method: card.title, prompt: nameOfPrompt(prompt.kind) }), "error");
    else if (!this.#isLocked(prompt)) {
      const far = reachOf(reach, reachMm, activePlane(this.store.state)?.normal ?? 0, prompt);
      const said = far === null ? {} : { reach: far }; // as the server writes it down
      this.#make({ event: "prompted", prompt, label, method, finetune, overwrite, joined: false, ...said });
    }
  }

  /** Edit the selected label's mask by hand or by rule, `joined` to the event before; a message says why it cannot be. */
  edit(edit: api.Edit, joined = false): void {
    const { labels, label, overwrite } = this.store.state;
    const target = labels.find(({ value }) => value === label);
    if (this.#isFinished()) return;
    if (target === undefined) toast(SAY.labelFirstEdit, "error");
    else if (target.locked) toast(fill(SAY.lockedChange, { name: target.name }), "error");
    else if (!this.#isLocked(edit)) this.#make({ event: "edited", edit, label, overwrite, joined });
  }

  // Locked slices, and the reach of marks

  /** Tell that a mark or an edit lies in a locked slice alone; false where it does not. */
  #isLocked(put: api.Prompt | api.Edit): boolean {
    const { opened, locked } = this.store.state;
    const under = lockedUnder(locked, put);
    if (under === null) return false;
    const plane = opened?.planes.find(({ normal }) => normal === under.axis)?.name ?? "axial";
    toast(fill(SAY.sliceLocked, { plane: phrases.planes[plane], n: under.slice + 1 }), "error");
    return true;
  }

  /** Lock a slice of a plane, so that no mask changes in it, or unlock it. */
  lockSlice(plane: Plane | null = activePlane(this.store.state), pane?: string): void {
    const { opened, locked } = this.store.state;
    if (opened === null || plane === null || opened.volume.shape[plane.normal] === 1 || this.#isFinished()) return;
    const slice = cursorOf(this.store.state, pane)[plane.normal];
    const lock = !isLocked(locked, plane.normal, slice);
    this.#live?.send({ event: "slices_locked", axis: plane.normal, slices: [slice], locked: lock });
  }

  /** Choose how far the marks to come may change the mask. */
  setReach(reach: ReachKind): void {
    this.store.set({ reach });
  }

  setReachMm(mm: number): void {
    this.store.set({ reachMm: clamp(Math.round(mm), LEAST_MM, MOST_MM) });
  }

  /** Choose the next kind of reach, and say which it is. */
  stepReach(): void {
    const { opened, reach, reachMm } = this.store.state;
    const kinds = reachesOf(opened?.planes.length === 1);
    const next = kinds[(kinds.indexOf(reach) + 1) % kinds.length];
    this.setReach(next);
    toast(next === "near" ? fill(phrases.reach.nearSaid, { mm: reachMm }) : phrases.reach[next]);
  }

  // Looking before a change is made

  /** Make a change, or show it first where that is asked for; paint is seen as it is put down. */
  #make(event: Prompted | Edited): void {
    const painted = event.event === "edited" && (event.edit.kind === "paint" || event.joined);
    if (!this.store.state.previewing || painted) {
      this.#live?.send(event);
      return;
    }
    const title = event.event === "edited" ? describeEdit(event.edit, this.store.state.labels) : phrases.preview.mark;
    const take = (): void => this.#live?.send(event);
    reportErrors(() => this.#look(event, title, event.label, take, (session) => api.preview(session, event)));
  }

  /** Show where another method's mask of the same marks differs from the selected label's; it may be taken. */
  async compare(method: string): Promise<void> {
    const { opened, label, methods, overwrite, finetune } = this.store.state;
    if (opened === null) return;
    const title = methods.find(({ id }) => id === method)?.title ?? method;
    let patch: MaskPatch | null = null;
    const take = (): void => {
      if (patch === null || this.#isFinished()) return;
      const other = new LabelMap(opened.maps.shape);
      other.apply(patch);
      reportErrors(async () => {
        const prompt = await maskPrompt(other, label);
        this.#live?.send({ event: "prompted", prompt, label, method: "given", finetune, overwrite, joined: false });
      });
    };
    await this.#look(null, title, label, take, async (session) => (patch = await api.compare(session, label, method)));
  }

  async #look(
    event: Prompted | Edited | null,
    title: string,
    label: number,
    take: () => void,
    ask: (session: string) => Promise<MaskPatch>,
    reader = false,
  ): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const asked: Preview = { event, title, change: null, take: null, reader };
    this.store.set({ preview: asked });
    try {
      const patch = await ask(opened.session);
      if (this.store.state.preview !== asked || this.store.state.opened !== opened) return; // dropped meanwhile
      const change = changeOf(opened.maps.of(patch.layer), patch, label);
      this.store.set({ preview: { event, title, change, take, reader } });
    } catch (error) {
      if (this.store.state.preview === asked) this.dropPreview();
      throw error;
    }
  }

  /** Make the change that is shown. */
  takePreview(): void {
    const take = this.store.state.preview?.take ?? null;
    if (take === null) return;
    this.dropPreview();
    take();
  }

  dropPreview(): void {
    this.store.set({ preview: null });
  }

  /** Watch a robot that knows the selected label's mask annotate with the method in use. */
  async watchRobot(): Promise<void> {
    await watchRobot(this.store, (place) => {
      this.setCrosshair(place);
    });
  }

  /** Copy the mask of the slice in view to the next or the one before, and go there. */
  copySlice(by: 1 | -1): void {
    const { opened, crosshair } = this.store.state;
    const plane = activePlane(this.store.state);
    if (opened === null || plane === null) return;
    const edit = copyOf(plane, opened.volume.shape, crosshair, by);
    if (edit === null) {
      toast(SAY.noSlice);
      return;
    }
    this.edit(edit);
    this.scroll(plane.normal, by);
  }

  /** Return the labels, with those that the server has not recorded yet. */
  #knownLabels(): readonly api.Label[] {
    const { labels, unsent } = this.store.state;
    return [...labels, ...unsent.flatMap((event) => (event.event === "defined" ? [event.label] : []))];
  }

  /** Return a new label's value, defined without being chosen: for a part that is cut off. */
  defineNext(): number {
    const value = freeValue(this.#knownLabels());
    const { labels, label } = this.store.state;
    const layer = labels.find((one) => one.value === label)?.layer ?? 0; // a part has no voxel of what it was cut from
    this.define({ ...newLabel(value), layer });
    return value;
  }

  /** Nudge the whole mask: by 0.2 it becomes a fifth larger, by -0.2 a fifth smaller than it is. */
  nudge(larger: number): void {
    this.#endNudge();
    const { opened, labels, label } = this.store.state;
    if (larger === 0 || opened === null) return;
    const name = labels.find(({ value }) => value === label)?.name ?? SAY.thisLabel;
    if (boundsOf(opened.maps.ofLabel(labels, label), label) !== null)
      this.place({ kind: "adjust", k: larger, of: "mask" });
    else toast(fill(SAY.noMask, { name }));
  }

  /** Show what a nudge would make of the mask, while its slider moves: one question to the server at a time. */
  showNudge(larger: number): void {
    this.#nudge = larger;
    if (!this.#nudging) this.#followNudge().catch(() => undefined); // what is wrong is said when the slider is released
  }

  async #followNudge(): Promise<void> {
    this.#nudging = true;
    try {
      for (let larger = this.#nudge; larger !== null; larger = this.#nudge) {
        const { opened, label, labels, method, finetune, overwrite, events } = this.store.state;
        this.#nudge = null;
        const known = labels.find(({ value }) => value === label);
        if (
          opened === null ||
          known === undefined ||
          known.locked ||
          boundsOf(opened.maps.ofLabel(labels, label), label) === null
        )
          return;
        const prompt = { kind: "adjust", k: larger, of: "mask" } as const;
        const event = { event: "prompted", prompt, label, method, finetune, overwrite, joined: false } as const;
        const title = SAY.nudged;
        const patch = larger === 0 ? null : await api.preview(opened.session, event);
        if (this.store.state.opened !== opened || this.store.state.events !== events || this.#nudged) return;
        if (patch === null) this.dropPreview();
        else
          this.store.set({
            preview: { event, title, change: changeOf(opened.maps.of(patch.layer), patch, label), take: null },
          });
      }
    } finally {
      this.#nudging = false;
      this.#nudged = false;
    }
  }

  /** Forget what the slider showed: it was released. */
  #endNudge(): void {
    this.#nudge = null;
    this.#nudged = this.#nudging;
    this.dropPreview();
  }

  /** Let the method better the selected label's mask as it stands, or make a first one where there is none. */
  async refine(): Promise<void> {
    const { opened, label, labels } = this.store.state;
    if (opened !== null) this.place(await maskPrompt(opened.maps.ofLabel(labels, label), label));
  }

  /** Put a prompt in the place of a mark that was moved or turned over; its label is worked out again. */
  replace(position: number, prompt: api.Prompt): void {
    const { events, labels } = this.store.state;
    const event = events.at(position);
    if (this.#isFinished() || event?.event !== "prompted" || same(event.prompt, prompt)) return;
    const label = labels.find(({ value }) => value === event.label);
    if (label?.locked) toast(fill(SAY.lockedChange, { name: label.name }), "error");
    else this.#live?.send({ ...event, prompt, joined: false, replaces: position });
  }

  /** Give a mark the other sign; the one that is pointed at in the list, or under the pointer, where none is named. */
  turnOver(position = this.store.state.hovered ?? this.store.state.touched): void {
    const event = position === null ? undefined : this.store.state.events.at(position);
    const prompt = event?.event === "prompted" ? turnedOver(event.prompt) : null;
    if (position === null || prompt === null) toast(SAY.pointAtMark);
    else this.replace(position, prompt);
  }

  remove(position: number): void {
    if (this.#isFinished()) return;
    this.#live?.send({ event: "removed", of: position });
  }

  /** Take back this page's own last step, measured or marked; what others did meanwhile stays. */
  undo(): void {
    if (this.#rulerSteps.isLast(this.#lastOwn())) {
      this.store.set({ rulers: this.#rulerSteps.undo() ?? [], leg: null });
      return;
    }
    if (!this.#canUndoHere() && this.#markedBefore() !== null) {
      reportErrors(() => this.undoElsewhere());
      return;
    }
    if (!this.canUndo() || this.#isFinished()) return;
    const { events, done } = this.store.state;
    const step = stepBack(events, done, this.#others, this.#takenBack);
    if (step === null) {
      toast(SAY.othersSteps);
      return;
    }
    if (step.event === "removed") {
      this.#takenBack.add(step.of);
      toast(SAY.ownTakenBack);
    }
    this.#live?.send(step);
  }

  redo(): void {
    const { undone, events } = this.store.state;
    const next = undone.at(-1);
    if (this.#rulerSteps.isNext(next)) {
      this.store.set({ rulers: this.#rulerSteps.redo() ?? [] });
      return;
    }
    if (next === undefined || this.#rulerSteps.isNewer(lastUndo(events)) || this.#isFinished()) return;
    if (this.#others.has(next)) toast(SAY.othersUndo);
    else this.#live?.send({ event: "redone" });
  }

  /** Be known to the others by another name. */
  rename(name: string): void {
    setName(name);
    this.#live?.introduce(me());
  }

  /** Say who came and who left. */
  #greet(people: readonly Person[]): void {
    const before = this.store.state.people;
    this.store.set({ people });
    const names = (some: readonly Person[]): string[] => some.filter(({ you }) => !you).map(({ name }) => name);
    const [had, has] = [names(before), names(people)];
    if (has.length > had.length) {
      const came = before.length === 0 ? has : has.slice(-1);
      const { cameOne, cameMany } = phrases.people;
      toast(fill(came.length > 1 ? cameMany : cameOne, { names: came.join(phrases.common.and) }));
    }
  }

  /** The labels that a session begins with stay: without one nothing can be marked. */
  canUndo(): boolean {
    return this.#canUndoHere() || this.#markedBefore() !== null;
  }

  #canUndoHere(): boolean {
    return this.store.state.done.length > this.#begun() || this.#rulerSteps.isLast(this.#lastOwn());
  }

  /** Return how many of the events in effect the session began with: its labels, and of a field of view its mask. */
  #begun(): number {
    const { events, done } = this.store.state;
    return this.#begunOf(events, done);
  }

  #begunOf(events: readonly api.Event[], done: readonly number[]): number {
    const begun = this.store.state.opened?.onSlide?.field.begun ?? 0;
    return Math.max(opening(events, done), done.filter((position) => position < begun).length);
  }

  canRedo(): boolean {
    const { undone, events } = this.store.state;
    const next = undone.at(-1);
    if (this.#rulerSteps.isNext(next)) return true;
    return next !== undefined && !this.#rulerSteps.isNewer(lastUndo(events));
  }

  /** Return the place of this page's own last step in the log, -1 where there is none but the first labels. */
  #lastOwn(): number {
    const { events, done, unsent } = this.store.state;
    const waiting = unsent.map(({ event }) => event !== "undone" && event !== "redone").lastIndexOf(true);
    if (waiting >= 0) return events.length + waiting;
    const own = done.slice(this.#begun()).filter((position) => !this.#others.has(position));
    return own.at(-1) ?? -1;
  }

  cancel(): void {
    for (const position of this.store.state.pending) this.#live?.cancel(position);
  }

  reconnect(): void {
    this.#live?.retry();
  }

  // Labels

  addLabel(name?: string): void {
    const value = freeValue(this.#knownLabels());
    this.define(newLabel(value, name));
    this.select(value);
  }

  /** Take another tool's mask as it is: one object becomes the selected label's mask, several get labels of their own. */
  async loadMask(mask: api.Upload): Promise<void> {
    const { opened, label, overwrite } = this.store.state;
    if (opened === null || this.#isFinished()) return;
    const { labels } = await this.#sending(fill(SAY.uploading, { what: mask.name }), (sent) =>
      api.loadMask(opened.session, label, mask, overwrite, sent),
    );
    this.select(labels[0]);
    const { name } = mask;
    toast(labels.length === 1 ? fill(SAY.loaded, { name }) : plural(SAY.loadedLabels, labels.length, { name }), "good");
  }

  define(label: api.Label, joined = false): void {
    this.#live?.send({ event: "defined", label, joined });
  }

  /** Change a label, and with it all objects of its name: one step. */
  defineObjects(label: api.Label, changes: Partial<Omit<api.Label, "value" | "instance">>): void {
    objectsOf(this.store.state.labels, label).forEach((one, i) => {
      this.define({ ...one, ...changes }, i > 0);
    });
  }

  /** Begin another object of the selected label: a label with the same name and the next number. */
  nextObject(): void {
    const known = this.#knownLabels();
    const label = known.filter(({ value }) => value === this.store.state.label).at(-1);
    if (label === undefined || this.#isFinished()) return;
    const { first, next } = nextObject(known, label, freeValue(known));
    if (first !== label) this.define(first);
    this.define(next, first !== label);
    this.select(next.value);
    toast(fill(SAY.objectBegun, { name: titleOf(next) }), "good");
  }

  /** Let a label share voxels with others, or not: it has a layer of its own then. */
  setOverlap(label: api.Label, overlap: boolean): void {
    this.defineObjects(label, { layer: overlap ? label.value : 0 });
  }

  /** Delete a label with its mask and its marks; one stays, to be marked. */
  deleteLabel(value: number): void {
    const { labels } = this.store.state;
    const label = labels.find((one) => one.value === value);
    if (label === undefined || this.#isFinished()) return;
    if (label.locked) toast(fill(SAY.lockedDelete, { name: label.name }), "error");
    else if (labels.length === 1) toast(SAY.onlyLabel, "error");
    else {
      this.#live?.send({ event: "deleted", label: value, joined: false });
      toast(fill(SAY.labelDeleted, { name: label.name }), "good");
    }
  }

  /** Make another label's mask a part of the selected one's, and delete that label: one step. */
  merge(other: number): void {
    const { labels, label } = this.store.state;
    const locked = labels.find(({ value, locked }) => locked && (value === other || value === label));
    if (this.#isFinished() || !labels.some(({ value }) => value === other) || other === label) return;
    if (locked !== undefined) {
      toast(fill(SAY.lockedMerge, { name: locked.name }), "error");
      return;
    }
    const layers = new Set(labels.filter(({ value }) => value === other || value === label).map(({ layer }) => layer));
    if (layers.size === 1) this.edit({ kind: "merge", other });
    else {
      const edit = { kind: "combine", operation: "union", other, margin_mm: 0 } as const;
      this.#live?.send({ event: "edited", edit, label, overwrite: this.store.state.overwrite, joined: false });
      this.#live?.send({ event: "deleted", label: other, joined: true });
    }
  }

  /** Put a label before another one in the list, or at its end. */
  orderLabel(value: number, before: number | null): void {
    const order = this.store.state.labels.map((label) => label.value);
    const others = order.filter((one) => one !== value);
    const at = before === null ? others.length : others.indexOf(before);
    if (at < 0 || !order.includes(value) || this.#isFinished()) return;
    const labels = [...others.slice(0, at), value, ...others.slice(at)];
    if (!same(labels, order)) this.#live?.send({ event: "ordered", labels });
  }

  /** Move a label up or down in the list. */
  moveLabel(value: number, by: 1 | -1): void {
    const { labels } = this.store.state;
    const at = labels.findIndex((label) => label.value === value);
    if (at < 0 || at + by < 0 || at + by >= labels.length) return;
    this.orderLabel(value, labels.at(by < 0 ? at - 1 : at + 2)?.value ?? null);
  }

  /** Define labels that this case does not have yet, as a template has them. */
  addLabels(wanted: readonly api.TemplateLabel[]): void {
    let known = this.#knownLabels();
    const missing = wanted.filter(({ name }) => !known.some((label) => label.name === name));
    missing.forEach(({ name, colour, codes, overlaps }, i) => {
      const value = freeValue(known);
      const label = { ...newLabel(value, name), colour, codes: codes ?? null, layer: overlaps ? value : 0 };
      known = [...known, label];
      this.#live?.send({ event: "defined", label, joined: i > 0 });
    });
  }

  /** Hide a label's mask and marks in this page, or show them again. */
  hideLabel(value: number): void {
    const { hidden } = this.store.state;
    this.store.set({ hidden: hidden.includes(value) ? hidden.filter((one) => one !== value) : [...hidden, value] });
  }

  /** Marks go to this label from now on; a new object starts with positive marks. */
  select(value: number): void {
    this.store.set({ label: value, positive: true });
  }

  /** Say whether marks to come may take voxels of other labels; each is recorded with it. */
  setOverwrite(overwrite: boolean): void {
    this.store.set({ overwrite });
  }

  // Tools and display

  setTool(tool: Tool): void {
    const { methods, method } = this.store.state;
    const card = methods.find(({ id }) => id === method);
    if (isPromptTool(tool) && card !== undefined && !card.prompts.includes(tool)) {
      toast(fill(SAY.takesNo, { method: card.title, prompt: nameOfPrompt(tool) }));
      return;
    }
    this.store.set({ tool, points: [], cut: [], leg: null });
  }

  setMethod(method: string): void {
    this.store.set(this.#withMethod(method));
  }

  /** Return a method with the tool that goes with it: the one in use where the method takes it. */
  #withMethod(method: string): { method: string; points: []; tool: Tool } {
    const { methods, tool } = this.store.state;
    const card = methods.find(({ id }) => id === method);
    const keep = !isPromptTool(tool) || card === undefined || card.prompts.includes(tool);
    const first = (["click", "stroke", "box", "extremes", "lasso"] as const).find((kind) =>
      card?.prompts.includes(kind),
    );
    return { method, points: [], tool: keep ? tool : (first ?? "navigate") };
  }

  /** Say whether the method may learn this image from the marks to come; each is recorded with it. */
  setFinetune(finetune: api.Finetune): void {
    this.store.set({ finetune });
  }

  setRadius(radius: number): void {
    this.store.set({ radius: clamp(Math.round(radius), 1, 100) });
  }

  /** Make strokes and brushes a quarter as wide as the selected label's mask in the slice in view. */
  fitRadius(): void {
    const { opened, label, labels, crosshair } = this.store.state;
    const plane = activePlane(this.store.state);
    if (opened === null || plane === null) return;
    const width = widthIn(opened.maps.ofLabel(labels, label), label, plane.normal, crosshair[plane.normal]);
    if (width === null) toast(SAY.nothingToFit);
    else this.setRadius(width / 8);
  }

  addRuler(ruler: Ruler): void {
    this.#setRulers([...this.store.state.rulers, ruler]);
    this.store.set({ measuresShown: true });
  }

  removeRuler(ruler: Ruler): void {
    this.#setRulers(this.store.state.rulers.filter((one) => one !== ruler));
  }

  #setRulers(rulers: readonly Ruler[]): void {
    const { rulers: before, events, unsent } = this.store.state;
    this.#rulerSteps.add(before, rulers, events.length + unsent.length);
    this.store.set({ rulers });
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

  /** Choose an image of the case: its window and colours are set from now on, and shown where a pane has none of its own. */
  async setImage(image: number): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    this.#asked = image;
    const series = await this.#series(opened, image);
    const { state } = this.store;
    if (series === null || state.opened !== opened || this.#asked !== image || state.image === image) return;
    const sameScale = opened.case.timed && [image, state.image].every((one) => seriesInfo(opened, one) === null);
    const { contrast, colours } = sameScale ? state : lookOf(state, image, series);
    const looks = { ...state.looks, [state.image]: { contrast: state.contrast, colours: state.colours } };
    this.store.set({ image, contrast, colours, looks, fused: state.fused === image ? null : state.fused });
  }

  /** Lay an image over the chosen one, in colours that stand out from grey; null: none. */
  async fuse(image: number | null): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    const series = image === null ? null : await this.#series(opened, image);
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
  async #series(opened: Opened, image: number): Promise<Series | null> {
    const known = seriesOf(opened, image);
    if (known !== null) return known;
    const { signal } = this.#opening ?? new AbortController();
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
    if (partOf(coming.volume) < 1) this.#follow(opened, coming, series);
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
    for (const image of imagesBeside(opened)) if (image !== null) reportErrors(() => this.#series(opened, image));
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
