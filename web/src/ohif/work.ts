/** The work on one series: its session at the server, what is chosen, and what the panel says of it. */

import { signal } from "@preact/signals";
import type { Event, Label, Prompt, Uncertain } from "../api";
import type { Affine, Axis, Index } from "../geometry";
import { isEnough, withAnswer } from "../enough";
import { Live } from "../live";
import { PALETTE } from "../palette";
import { fill, objectName, phrases } from "../phrases";
import { isLocked, lockedUnder, NONE } from "../locks";
import { type ReachKind, reachOf } from "../reach";
import { type Folded, fold, freeValue, opening, stepBack } from "../session";
import { listen, type Tool } from "./drawing";
import { axisAcross, indexAt, toWorld } from "./place";
import { Refused, type Import, type Opened, type Server } from "./server";
import { Shown } from "./shown";
import {
  displayed,
  type DisplaySet,
  fileOf,
  keyOf,
  type Managers,
  isStack,
  showing,
  sliceKey,
  type Viewport,
} from "./viewer";

const SAY = phrases.ohif;
const ASK_MS = 500; // between two questions how far an import is
const USUAL_MM = 15; // that marks reach where they are to change the mask near them
const RING = 28; // CSS pixels across
const DRAWN = "CORNERSTONE_IMAGE_RENDERED"; // which Cornerstone tells a viewport's element
const EMPTY: Folded = { done: [], undone: [], labels: [], locked: NONE };

/** Where masks are saved: an archive of the server by its name, or that of the viewer itself. */
export type Target = { readonly archive: string } | "viewer";

/** A slice of the grid, across an axis. */
interface Slice {
  readonly axis: Axis;
  readonly number: number;
}

export class Work {
  /** What goes on: one sentence, and whether it is a trouble. */
  readonly said = signal<{ text: string; trouble: boolean }>({ text: SAY.choose, trouble: false });
  readonly opened = signal<Opened | null>(null);
  readonly busy = signal(false); // opening, or saving
  readonly wantsToken = signal(false);
  readonly connected = signal(false);
  readonly waiting = signal(0); // events that are not recorded yet
  readonly answering = signal(false);
  readonly folded = signal<Folded>(EMPTY);
  readonly label = signal(1);
  readonly tool = signal<Tool | null>(null);
  readonly positive = signal(true);
  readonly radius = signal(1);
  readonly reach = signal<ReachKind>("whole");
  readonly reachMm = signal(USUAL_MM);
  readonly slice = signal<Slice | null>(null); // that the active viewport shows
  readonly qualities = signal<Readonly<Record<number, readonly number[]>>>({}); // by label, after each mark in a row
  readonly targets = signal<readonly Target[]>([]);

  #events: Event[] = [];
  #others = new Set<number>();
  #takenBack = new Set<number>();
  #live: Live | null = null;
  #shown: Shown | null = null;
  readonly #defining = new Set<number>(); // labels that were sent and are not recorded yet
  #rank = -1; // of the uncertain place that was looked at last
  #run = 0; // counts what was begun, so that what comes late of an earlier one is left
  readonly #ends: (() => void)[] = [];
  readonly #badges = new Map<Element, HTMLElement>(); // on viewports whose slice is locked
  readonly #rings = new Map<Element, HTMLElement>(); // round the uncertain place, on viewports that show it
  #place: Index | null = null; // the uncertain place that was gone to, until the next mark

  constructor(
    readonly server: Server,
    readonly managers: Managers,
  ) {}

  /** Begin to listen, when OHIF shows a study. */
  enter(): void {
    this.leave();
    const { viewportGridService, cornerstoneViewportService } = this.managers.servicesManager.services;
    const again = (): void => {
      void this.#shown?.show().catch(() => undefined); // a viewport that is being made anew says so again
      this.#look();
    };
    const told: [typeof viewportGridService | typeof cornerstoneViewportService, string][] = [
      [viewportGridService, "GRID_STATE_CHANGED"],
      [cornerstoneViewportService, "VIEWPORT_DATA_CHANGED"],
    ];
    for (const [service, name] of told) {
      if (service.EVENTS[name] === undefined) continue;
      const subscription = service.subscribe(service.EVENTS[name], again);
      this.#ends.push(() => {
        subscription.unsubscribe();
      });
    }
    this.#ends.push(
      listen({
        chosen: () => this.#chosen(),
        viewportAt: (element) => this.#viewportAt(element),
        place: (prompt, viewport) => {
          this.place(prompt, viewport);
        },
        crooked: () => {
          this.#say(SAY.crooked, true);
        },
      }),
    );
    window.addEventListener("keydown", this.#key, true);
    window.addEventListener(DRAWN, this.#look, true);
    this.#ends.push(() => {
      window.removeEventListener("keydown", this.#key, true);
      window.removeEventListener(DRAWN, this.#look, true);
    });
  }

  leave(): void {
    for (const end of this.#ends.splice(0)) end();
    this.close();
  }

  close(): void {
    this.#run += 1;
    this.#live?.close();
    this.#shown?.remove();
    this.#live = this.#shown = null;
    this.opened.value = null;
    this.connected.value = false;
    this.tool.value = null;
    this.#place = null;
    this.#look();
    this.#say(SAY.choose);
  }

  #say(text: string, trouble = false): void {
    this.said.value = { text, trouble };
  }

  /** Do something that the server may refuse; the panel says why. */
  async #try(act: () => Promise<void>): Promise<void> {
    if (this.busy.value) return;
    this.busy.value = true;
    try {
      await act();
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.wantsToken.value = true;
      this.#say(error instanceof Error ? error.message : String(error), true);
    } finally {
      this.busy.value = false;
    }
  }

  // The session

  /** Work on the series that is displayed. */
  open(): Promise<void> {
    return this.#try(async () => {
      const services = this.managers.servicesManager.services;
      const seen = displayed(services);
      if (seen === null) {
        this.#say(SAY.noSeries, true);
        return;
      }
      this.close();
      const run = this.#run;
      this.#say(SAY.opening);
      const opened = await this.#opened(seen.displaySet, fileOf(seen.imageId), run);
      if (opened === null || run !== this.#run) return;
      this.wantsToken.value = false;
      const { session, slices, shape } = opened;
      const shown = await Shown.on(services, seen.displaySet, session, slices, shape, SAY.title);
      if (shown === null) {
        this.#say(SAY.otherSlices, true);
        return;
      }
      this.#shown = shown;
      this.opened.value = opened;
      this.targets.value = this.#targets(opened);
      this.tool.value = (["click", "box", "stroke"] as const).find((tool) => opened.prompts.includes(tool)) ?? null;
      this.#connect(session);
    });
  }

  /** Return the session of a series, when the server has fetched it; null where that failed, and was said. */
  async #opened(displaySet: DisplaySet, instance: string, run: number): Promise<Opened | null> {
    const { StudyInstanceUID: study, SeriesInstanceUID: series } = displaySet;
    const found = await this.server.open(study, series, instance);
    if ("session" in found) return found;
    let now: Import = found;
    while (now.stage === "waiting" || now.stage === "fetching" || now.stage === "reading") {
      this.#say(now.files > 0 ? fill(SAY.fetching, { n: now.files }) : SAY.fetchingFirst);
      await new Promise((later) => setTimeout(later, ASK_MS));
      if (run !== this.#run) return null;
      now = await this.server.read<Import>(`api/imports/${now.id}`);
    }
    if (now.stage !== "done") {
      this.#say(now.error || SAY.notFetched, true);
      return null;
    }
    const again = await this.server.open(study, series, instance);
    if ("session" in again) return again;
    this.#say(SAY.otherSlices, true);
    return null;
  }

  #connect(session: string): void {
    this.#events = [];
    this.#others.clear();
    this.#takenBack.clear();
    this.#defining.clear();
    this.#rank = -1;
    this.#live = new Live(this.server.live(session), {
      state: ({ events, pending }) => {
        this.#events = [...events];
        this.qualities.value = {};
        this.answering.value = pending.length > 0;
        this.#fold();
        const labels = this.folded.value.labels;
        if (!labels.some(({ value }) => value === this.label.value)) this.choose(labels.at(0)?.value ?? 1);
      },
      map: (patch) => this.#shown?.replace(patch),
      ready: () => {
        this.connected.value = true;
        this.#say(SAY.ready);
      },
      lost: () => {
        this.connected.value = false;
        this.#say(SAY.lost, true);
      },
      queued: (events) => {
        this.waiting.value = events.length;
      },
      keep: () => undefined,
      accepted: (event, position, own) => {
        this.#events[position] = event;
        if (event.event !== "defined" && event.event !== "slices_locked") this.#place = null;
        if (event.event === "defined") this.#defining.delete(event.label.value);
        if (!own) this.#others.add(position);
        if (!["prompted", "defined", "ordered", "slices_locked"].includes(event.event)) this.qualities.value = {};
        if (event.event !== "slices_locked") {
          this.answering.value = true;
          this.#rank = -1;
        }
        this.#fold();
      },
      people: () => undefined,
      patch: (patch) => this.#shown?.apply(patch),
      uncertainty: () => undefined,
      answered: ({ state, position, quality, withdrawn }) => {
        this.answering.value = state.pending.length > 0;
        const event = this.#events.at(position);
        if (event?.event === "prompted" && !withdrawn) {
          const opened = this.opened.value;
          const known = opened?.calibrated && event.method === opened.method ? quality : null;
          this.qualities.value = withAnswer(this.qualities.value, event.label, known);
        }
        if (!this.answering.value) this.#say(SAY.ready);
      },
      progress: () => undefined,
      error: (message) => {
        this.#say(message, true);
      },
    });
  }

  #fold(): void {
    this.folded.value = fold(this.#events);
    this.#shown?.name(this.folded.value.labels);
    this.#look();
  }

  // Labels

  choose(label: number): void {
    this.label.value = label;
    this.#shown?.choose(label);
  }

  addLabel(): void {
    const coming = [...this.#defining].map((one) => ({ value: one }) as Label);
    const value = freeValue([...this.folded.value.labels, ...coming]);
    this.#define(value);
    this.choose(value);
  }

  #define(value: number): void {
    const colour = PALETTE[(value - 1) % PALETTE.length];
    const plain = { locked: false, opacity: 1, codes: null, layer: 0, instance: null };
    const label: Label = { value, name: objectName(value), colour, ...plain };
    this.#defining.add(value);
    this.#live?.send({ event: "defined", label, joined: false });
  }

  rename(label: Label, name: string): void {
    const said = name.trim();
    if (said === "" || said === label.name) return;
    this.#live?.send({ event: "defined", label: { ...label, name: said }, joined: false });
  }

  // Marks

  place(prompt: Prompt, viewport: Viewport): void {
    const opened = this.opened.value;
    if (opened === null || this.#live === null) return;
    const label = this.folded.value.labels.find(({ value }) => value === this.label.value);
    if (label?.locked) {
      this.#say(fill(phrases.actions.lockedChange, { name: label.name }), true);
      return;
    }
    if (lockedUnder(this.folded.value.locked, prompt) !== null) {
      this.#say(SAY.sliceLocked, true);
      return;
    }
    const isNew = label === undefined && !this.#defining.has(this.label.value);
    if (isNew) this.#define(this.label.value);
    const target = { label: this.label.value, method: opened.method };
    const far = reachOf(this.reach.value, this.reachMm.value, this.#axisOf(viewport, opened), prompt);
    const how = { finetune: "auto", overwrite: false, joined: isNew, ...(far === null ? {} : { reach: far }) } as const;
    this.#live.send({ event: "prompted", prompt, ...target, ...how });
  }

  /** True when the Dice that is expected of the label that is worked on is high and rises no more. */
  get isEnough(): boolean {
    return !this.answering.value && isEnough(this.qualities.value[this.label.value] ?? []);
  }

  // Slices

  /** True when the slice that the active viewport shows is locked. */
  get isLocked(): boolean {
    const slice = this.slice.value;
    return slice !== null && isLocked(this.folded.value.locked, slice.axis, slice.number);
  }

  /** Lock the slice that the active viewport shows, so that no mask changes in it, or unlock it. */
  lockSlice(): void {
    const slice = this.slice.value;
    if (slice === null) return;
    const { axis, number } = slice;
    this.#live?.send({ event: "slices_locked", axis, slices: [number], locked: !this.isLocked });
  }

  /** Return the axis of the grid that a viewport looks along: a stack shows the slices of the scan itself. */
  #axisOf(viewport: Viewport, { affine }: Opened): Axis {
    return isStack(viewport) ? 0 : axisAcross(affine, viewport.getCamera().viewPlaneNormal);
  }

  #sliceOf(viewport: Viewport, opened: Opened): Slice | null {
    const axis = this.#axisOf(viewport, opened);
    if (!isStack(viewport)) {
      const { index } = indexAt(opened.affine, opened.shape, viewport.getCamera().focalPoint);
      return { axis, number: index[axis] };
    }
    const imageId = viewport.getCurrentImageId?.();
    const key = imageId === undefined ? "" : keyOf(imageId);
    const number = opened.slices.findIndex(([file, frame]) => sliceKey(file, frame) === key);
    return number < 0 ? null : { axis, number };
  }

  /** See which slices are shown, and mark those that are locked, and where the uncertain place is. */
  readonly #look = (): void => {
    const opened = this.opened.value;
    const active = this.managers.servicesManager.services.viewportGridService.getActiveViewportId();
    let seen: Slice | null = null;
    const locked = new Set<Element>();
    const rings = new Map<Element, readonly [number, number]>();
    for (const [id, viewport] of opened === null ? [] : this.#viewports()) {
      const slice = this.#sliceOf(viewport, opened!);
      if (slice === null) continue;
      if (id === active) seen = slice;
      if (this.#place?.[slice.axis] === slice.number) {
        rings.set(viewport.element, viewport.worldToCanvas(toWorld(opened!.affine, this.#place)));
      }
      if (isLocked(this.folded.value.locked, slice.axis, slice.number)) locked.add(viewport.element);
    }
    const before = this.slice.value;
    if (seen?.axis !== before?.axis || seen?.number !== before?.number) this.slice.value = seen;
    keepOnly(this.#badges, locked, badgeOn);
    keepOnly(this.#rings, rings, ringOn);
    for (const [element, [x, y]] of rings) {
      this.#rings.get(element)!.style.transform = `translate(${x - RING / 2}px, ${y - RING / 2}px)`;
    }
  };

  get canUndo(): boolean {
    const { done } = this.folded.value;
    return done.length > opening(this.#events, done);
  }

  undo(): void {
    if (!this.canUndo) return;
    const step = stepBack(this.#events, this.folded.value.done, this.#others, this.#takenBack);
    if (step === null) {
      this.#say(phrases.actions.othersSteps, true);
      return;
    }
    if (step.event === "removed") this.#takenBack.add(step.of);
    this.#live?.send(step);
  }

  redo(): void {
    const next = this.folded.value.undone.at(-1);
    if (next === undefined) return;
    if (this.#others.has(next)) this.#say(phrases.actions.othersUndo, true);
    else this.#live?.send({ event: "redone" });
  }

  readonly #key = (event: KeyboardEvent): void => {
    if (this.tool.value === null || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.shiftKey) this.redo();
    else this.undo();
  };

  #chosen(): { tool: Tool; positive: boolean; radius: number; affine: Affine; shape: Index } | null {
    const [tool, opened] = [this.tool.value, this.opened.value];
    if (tool === null || opened === null) return null;
    const { affine, shape } = opened;
    return { tool, positive: this.positive.value, radius: this.radius.value, affine, shape };
  }

  #viewports(): Map<string, Viewport> {
    const shown = this.#shown;
    return showing(this.managers.servicesManager.services, (one) => shown?.isOf(one) ?? false);
  }

  #viewportAt(element: Element): Viewport | null {
    for (const [id, viewport] of this.#viewports()) {
      if (!viewport.element.contains(element)) continue;
      this.managers.servicesManager.services.viewportGridService.setActiveViewportId(id);
      return viewport;
    }
    return null;
  }

  // Where to look next

  next(): Promise<void> {
    return this.#try(async () => {
      const opened = this.opened.value;
      if (opened === null) return;
      const found = await this.server.read<Uncertain>(
        `api/sessions/${opened.session}/uncertain?rank=${this.#rank + 1}`,
      );
      this.#place = found.place;
      if (found.place === null) {
        this.#rank = -1;
        this.#look();
        this.#say(found.rank > 0 ? SAY.nothingElse : SAY.nothing);
        return;
      }
      this.#rank = found.rank;
      this.#say(fill(SAY.uncertain, { n: found.rank + 1 }));
      this.#show(found.place, opened);
    });
  }

  /** Show a voxel in every viewport of the series; where it is is marked as soon as that is drawn. */
  #show(index: Index, { affine, slices }: Opened): void {
    const world = toWorld(affine, index);
    const key = sliceKey(...slices[index[0]]);
    for (const viewport of this.#viewports().values()) {
      const number = viewport.getImageIds?.().findIndex((imageId) => keyOf(imageId) === key) ?? -1;
      if (isStack(viewport) && number >= 0) {
        void viewport.setImageIdIndex?.(number);
      } else {
        const { focalPoint, position } = viewport.getCamera();
        const moved = (from: readonly number[]) =>
          [0, 1, 2].map((i) => from[i] + world[i] - focalPoint[i]) as unknown as [number, number, number];
        viewport.setCamera({ focalPoint: [...world], position: moved(position) });
        viewport.render();
      }
    }
    this.#look();
  }

  // Saving

  #targets({ archives }: Opened): Target[] {
    const source = this.managers.extensionManager.getActiveDataSource().at(0);
    const root = source?.getConfig?.()?.wadoRoot ?? "";
    const ours = root !== "" && new URL(root, document.baseURI).href.startsWith(this.server.base);
    const own: Target[] = source?.store === undefined || ours ? [] : ["viewer"];
    return [...archives.map((archive) => ({ archive })), ...own];
  }

  /** Send the masks as a DICOM segmentation. */
  save(target: Target): Promise<void> {
    return this.#try(async () => {
      const opened = this.opened.value;
      if (opened === null) return;
      this.#say(SAY.saving);
      if (target === "viewer") {
        const file = await this.server.ask(`api/sessions/${opened.session}/export?format=.dcm&patient=keep`);
        const source = this.managers.extensionManager.getActiveDataSource().at(0);
        await source?.store?.dicom(await file.arrayBuffer());
        this.#say(SAY.savedHere);
        return;
      }
      const path = `api/archives/${encodeURIComponent(target.archive)}/results`;
      const sent = await this.server.send<{ stored: number; refused: readonly string[] }>(path, {
        session: opened.session,
        format: ".dcm",
      });
      if (sent.stored > 0) this.#say(fill(SAY.saved, { archive: target.archive }));
      else this.#say(fill(SAY.refused, { archive: target.archive, reasons: sent.refused.join(", ") }), true);
    });
  }
}

/** Put the word that its slice is locked on a viewport. */
function badgeOn(element: Element): HTMLElement {
  const badge = document.createElement("div");
  badge.className = "segmend-locked";
  badge.textContent = SAY.locked;
  badge.style.cssText =
    "position:absolute;top:8px;left:50%;transform:translateX(-50%);padding:2px 8px;border-radius:4px;" +
    "background:#111827cc;color:#facc15;font:12px Inter,system-ui,sans-serif;pointer-events:none;z-index:5";
  element.append(badge);
  return badge;
}

/** Return a ring on a viewport, in its corner. */
function ringOn(element: Element): HTMLElement {
  const ring = document.createElement("div");
  ring.className = "segmend-place";
  ring.style.cssText =
    `position:absolute;left:0;top:0;width:${RING}px;height:${RING}px;border:2px solid #facc15;` +
    "border-radius:50%;pointer-events:none;z-index:5;box-sizing:border-box";
  element.append(ring);
  return ring;
}

/** Have something on these elements, and on no others. */
function keepOnly(
  there: Map<Element, HTMLElement>,
  wanted: { has(element: Element): boolean; keys(): Iterable<Element> },
  make: (element: Element) => HTMLElement,
): void {
  for (const [element, made] of there) {
    if (wanted.has(element)) continue;
    made.remove();
    there.delete(element);
  }
  for (const element of wanted.keys()) if (!there.has(element)) there.set(element, make(element));
}
