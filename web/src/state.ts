/**
 * The one store: what is being shown and with what. Views render from it and hold none of it.
 *
 * `set` takes the fields that change and announces them to whoever listens for any of them.
 * The masks' voxels lie in a LayeredMap, changed in place; `maskVersion` says that they changed.
 */

import type { Side, Theme } from "./themes";
import { arrange, type Layout, LAYOUTS, type Spec } from "./arrange";
import type {
  Edit,
  FieldOfView,
  Finetune,
  Case,
  Me,
  Measures,
  Event,
  Format,
  Label,
  Method,
  Project,
  Prompt,
  SeriesInfo,
  Slide,
} from "./api";
import type { ColourMap } from "./colours";
import type { Change } from "./change";
import type { Contrast, Statistics } from "./contrast";
import { BRUSH, type Brush } from "./edits";
import { type Axis, type Box, type Index, type Plane, type PlaneName, spacingOf, type View } from "./geometry";
import type { UncertaintyMap, LayeredMap } from "./labelmap";
import { type Locked, NONE } from "./locks";
import type { Person } from "./live";
import type { Volume } from "./nifti";
import { fill, phrases, plural } from "./phrases";
import type { ReachKind } from "./reach";
import { UNKNOWN } from "./rights";
import { labelGone } from "./session";
import { type Ruler, type RulerKind, RULERS } from "./rulers";
import type { Slab } from "./slices";
import type { SlideTiles } from "./slidetiles";

export type EditTool = "paint" | "erase" | "cut" | "island" | "threshold"; // they edit the mask, without a method
export type ViewTool = "window" | RulerKind; // they change what is seen or measured, and no mask
export type Tool = "navigate" | "click" | "stroke" | "box" | "lasso" | "extremes" | EditTool | ViewTool;
const EDIT_TOOLS: readonly string[] = ["paint", "erase", "cut", "island", "threshold"] satisfies EditTool[];
export const isEditTool = (tool: Tool): tool is EditTool => EDIT_TOOLS.includes(tool);
const VIEW_TOOLS: readonly string[] = ["navigate", "window", ...RULERS];
/** Say whether a tool puts down prompts, which a method must take. */
export const isPromptTool = (tool: Tool): boolean => !isEditTool(tool) && !VIEW_TOOLS.includes(tool);
export { type Layout, LAYOUTS };
export type Connection = "none" | "live" | "lost";

/** One image of a case. */
export interface Series {
  readonly volume: Volume;
  readonly modality: string;
  statistics: Statistics; // of the slices that are there
}

/** How an image is shown. */
export interface Look {
  readonly contrast: Contrast;
  readonly colours: ColourMap;
}

/** A field of view of a slide. */
export interface OnSlide {
  readonly field: FieldOfView;
  readonly tiles: SlideTiles; // of the whole slide
}

/** A case with its voxels, as loaded in this page. */
export interface Opened {
  readonly case: Case;
  readonly session: string;
  readonly volume: Volume;
  readonly modality: string;
  statistics: Statistics; // of the slices that are there
  readonly photo: boolean;
  readonly images: number; // of the case's own image, on one grid, `volume` being the first; then of its series
  readonly beside: readonly SeriesInfo[]; // series that are shown on that grid, the last of the images
  readonly others: Map<number, Series>; // those after the first that have been fetched
  readonly planes: readonly Plane[];
  readonly maps: LayeredMap;
  readonly onSlide: OnSlide | null; // where the voxels are; null: they are the case's own image
  uncertainty: UncertaintyMap | null; // made when a method first says where it is uncertain
  resumed: boolean; // what the session was left with has been taken up
  asked: number; // the image that was asked for last; others that arrive after that are not shown
}

export type Measure = Measures["labels"][number];

export interface Progress {
  readonly text: string;
  readonly fraction: number | null; // null when nobody knows
}

/** A place where the last answer is uncertain, as the server last named it. */
export interface UncertainPlace {
  readonly rank: number; // 0: the most uncertain place
  readonly place: Index | null; // null: there is no such place
  readonly inside: boolean; // the mask holds it
}

/** A change that is looked at before it is made, or what another method makes of the same marks. */
export interface Preview {
  readonly event: Extract<Event, { event: "prompted" | "edited" | "removed" }> | null; // null: a comparison
  readonly title: string; // of what is looked at
  readonly change: Change | null; // null while it is worked out
  readonly take: (() => void) | null; // makes the change; null while there is none to make
  readonly reader?: boolean; // it is what another reader has marked
}

/** What a robot has played that is watched. */
export interface Robot {
  readonly title: string; // of the method
  readonly label: number; // whose mask counts as the right one
  readonly prompts: readonly Extract<Prompt, { kind: "click" }>[];
  readonly dices: readonly number[]; // after each mark
  readonly change: Change | null; // of the right mask to the method's: too much is gained, what is missing is lost
  readonly running: boolean;
}

export interface State {
  readonly me: Me; // who is at this page, and what they may
  readonly methods: readonly Method[];
  readonly formats: readonly Format[];
  readonly cases: readonly Case[] | null; // some of the list; null until it arrived
  readonly left: Case | null; // the case that this browser looked at last, before one is opened
  readonly work: Case | null; // the open case as the server last told it: its status, its time
  readonly opened: Opened | null;
  readonly slide: Slide | null; // that is open, as the server last told: its labels, its fields of view
  readonly tiled: number; // goes up when tiles of it have come
  readonly labels: readonly Label[];
  readonly events: readonly Event[];
  readonly done: readonly number[];
  readonly undone: readonly number[];
  readonly people: readonly Person[]; // who has this session open, this page among them
  readonly pending: readonly number[]; // recorded, not answered
  readonly unsent: readonly Event[]; // not yet recorded by the server
  readonly project: Project | null; // of the open case, once it is known
  readonly label: number; // the one that marks go to
  readonly method: string;
  readonly finetune: Finetune; // may the method learn this image: where marks call for it, always, never
  readonly tool: Tool;
  readonly positive: boolean;
  readonly overwrite: boolean; // marks and edits may take voxels of other labels that are not locked
  readonly reach: ReachKind; // how far marks may change the mask
  readonly reachMm: number; // the distance, where it is one
  readonly locked: Locked; // slices in which no mask changes
  readonly radius: number; // of strokes and brushes, in voxels
  readonly brush: Brush;
  readonly plane: PlaneName | null; // the last one under the pointer
  readonly crosshair: Index;
  readonly aiming: boolean; // the crosshair is moved by keys, so that a picture shows it, too
  readonly contrast: Contrast;
  readonly opacity: number;
  readonly outline: boolean;
  readonly masked: boolean; // false while the mask is hidden
  readonly hidden: readonly number[]; // labels whose masks and marks are hidden
  readonly smooth: boolean;
  readonly uncertain: boolean; // the method's uncertainty is shown
  readonly colours: ColourMap; // of the image's greys
  readonly slab: Slab;
  readonly thickness: number; // of a slab, in mm; 0: a single slice
  readonly crosshairs: boolean; // the lines are drawn
  readonly layout: Layout;
  readonly several: Layout; // the last layout with several panes, which F goes back to
  readonly main: PlaneName; // the plane that is large, or shown of each series
  readonly views: Readonly<Record<string, View>>; // pan and zoom by the pane's id; all of the plane where there is none
  readonly linkedZoom: boolean; // all panes are magnified and moved together
  readonly linkedSlices: boolean; // all panes show the slices through one crosshair
  readonly cursors: Readonly<Record<string, Index>>; // by the pane's id, where they are not linked
  readonly looks: Readonly<Record<number, Look>>; // of the images that are not chosen
  readonly fused: number | null; // the image that is laid over the chosen one
  readonly fusedOpacity: number;
  readonly arrived: number; // the part of the voxels that are there
  readonly image: number; // of the images that the case has, the one that is chosen
  readonly measured: Measures | null; // of the labels, as the server last told
  readonly measuresShown: boolean;
  readonly rulers: readonly Ruler[]; // measured by hand
  readonly leg: Ruler | null; // one that is being drawn
  readonly draft: Prompt | null; // the gesture under way
  readonly drawing: boolean; // it is made by keys
  readonly moving: number | null; // the position of a mark that is being dragged; `draft` is what it becomes
  readonly editing: Edit | null; // the same, of an edit
  readonly cut: readonly Index[]; // the line of a cut, while the part that goes is still to be picked
  readonly cutAxis: Axis; // across the plane it was drawn in
  readonly cutTo: "new" | "nothing"; // what becomes of the part
  readonly points: readonly Index[]; // extreme points put down so far, all in one slice
  readonly connection: Connection;
  readonly refused: string | null; // why the server takes no connection from this page, such as a login that ended
  readonly warming: boolean; // the server still loads its method, so answers come late
  readonly loading: Progress | null; // a case or an upload under way
  readonly answering: number | null; // of an answer under way: the part done, when the server tells
  readonly answered: {
    readonly milliseconds: number;
    readonly quality: number | null;
    readonly finetuned: boolean;
  } | null;
  readonly qualities: Readonly<Record<number, readonly number[]>>; // by label, the calibrated Dice after each mark in a row
  readonly maskVersion: number;
  readonly maskChange: Box | null; // what the last version changed; null: everything
  readonly uncertaintyVersion: number; // as maskVersion, of the uncertainty
  readonly uncertaintyOf: number | null; // the event whose answer said where it is uncertain, while the mask is as it left it
  readonly uncertainPlace: UncertainPlace | null; // the last look at an uncertain place of that answer
  readonly previewing: boolean; // marks and edits are looked at before they are made
  readonly preview: Preview | null;
  readonly robot: Robot | null; // that is watched
  readonly ring: Index | null; // shown for a moment round the place looked at
  readonly hovered: number | null; // the position of the mark whose row is under the pointer or has the focus
  readonly pointer: Index | null; // the voxel under the mouse
  readonly touched: number | null; // the position of the mark under the mouse
  readonly sidebar: boolean; // the list of cases is open
  readonly theme: Theme; // the page's colours
  readonly panel: Side; // where labels, marks and display are
}

export const INITIAL: State = {
  me: UNKNOWN,
  methods: [],
  formats: [],
  cases: null,
  left: null,
  work: null,
  opened: null,
  slide: null,
  tiled: 0,
  labels: [],
  events: [],
  done: [],
  undone: [],
  people: [],
  pending: [],
  unsent: [],
  project: null,
  label: 0,
  method: "",
  finetune: "auto",
  tool: "click",
  positive: true,
  overwrite: false,
  reach: "whole",
  reachMm: 15,
  locked: NONE,
  radius: 3,
  brush: BRUSH,
  plane: null,
  crosshair: [0, 0, 0],
  aiming: false,
  contrast: { low: 0, high: 1 },
  opacity: 0.4,
  outline: true,
  masked: true,
  hidden: [],
  smooth: true,
  uncertain: true,
  colours: "Grey",
  slab: "max",
  thickness: 0,
  crosshairs: true,
  layout: "grid",
  several: "grid",
  main: "axial",
  views: {},
  linkedZoom: false,
  linkedSlices: true,
  cursors: {},
  looks: {},
  fused: null,
  fusedOpacity: 0.5,
  arrived: 1,
  image: 0,
  measured: null,
  measuresShown: true,
  rulers: [],
  leg: null,
  draft: null,
  drawing: false,
  moving: null,
  editing: null,
  cut: [],
  cutAxis: 0,
  cutTo: "new",
  points: [],
  connection: "none",
  refused: null,
  warming: false,
  loading: null,
  answering: null,
  answered: null,
  qualities: {},
  maskVersion: 0,
  maskChange: null,
  uncertaintyVersion: 0,
  uncertaintyOf: null,
  uncertainPlace: null,
  previewing: false,
  preview: null,
  robot: null,
  ring: null,
  hovered: null,
  pointer: null,
  touched: null,
  sidebar: true,
  theme: "system",
  panel: "right",
};

type Key = keyof State;
type Listener = (state: State, changed: ReadonlySet<Key>) => void;

export class Store {
  #state: State;
  readonly #listeners: { keys: ReadonlySet<Key>; call: Listener }[] = [];

  constructor(initial: State = INITIAL) {
    this.#state = initial;
  }

  get state(): State {
    return this.#state;
  }

  /** Change fields; listeners hear of those whose value is another than before. */
  set(changes: Partial<State>): void {
    const changed = new Set((Object.keys(changes) as Key[]).filter((key) => this.#state[key] !== changes[key]));
    if (changed.size === 0) return;
    this.#state = { ...this.#state, ...changes };
    for (const { keys, call } of this.#listeners) {
      for (const key of changed) {
        if (keys.has(key)) {
          call(this.#state, changed);
          break;
        }
      }
    }
  }

  /** Call `listener` now and whenever one of the fields changes. */
  on(keys: readonly Key[], listener: Listener): void {
    const all = new Set(keys);
    this.#listeners.push({ keys: all, call: listener });
    listener(this.#state, all);
  }
}

/** A prompt or an edit in effect, as the list shows it. */
export interface Mark {
  readonly position: number; // of its event; -1 - n for the n-th that the server has not recorded yet
  readonly event: Extract<Event, { event: "prompted" | "edited" }>;
  readonly waiting: boolean;
}

type Marked = Pick<State, "events" | "done" | "pending" | "unsent">;

/** Return the prompts and edits in effect, oldest first, those on their way at the end. */
export function marksOf({ events, done, pending, unsent }: Marked): Mark[] {
  const removed = new Set<number>();
  for (const event of unsent) {
    if (event.event === "prompted" && typeof event.replaces === "number") removed.add(event.replaces);
  }
  for (const position of done) {
    const event = events.at(position);
    if (event?.event === "removed") removed.add(event.of);
    if (event?.event === "prompted" && typeof event.replaces === "number") removed.add(event.replaces);
  }
  const deleted = new Map<number, number>(); // labels, and when they were deleted last
  for (const position of done) {
    const event = events.at(position);
    const gone = event === undefined ? null : labelGone(event);
    if (gone !== null) deleted.set(gone, position);
  }
  const marks: Mark[] = [];
  for (const position of done) {
    const event = events.at(position);
    if ((event?.event === "prompted" || event?.event === "edited") && !removed.has(position)) {
      if (position < (deleted.get(event.label) ?? -1)) continue;
      marks.push({ position, event, waiting: pending.includes(position) });
    }
  }
  unsent.forEach((event, i) => {
    if (event.event === "prompted" || event.event === "edited") marks.push({ position: -1 - i, event, waiting: true });
  });
  return marks;
}

/** Return what waits to be recorded, as somebody would count it; "" for nothing. */
export function waitingWords(unsent: readonly Event[]): string {
  if (unsent.length === 0) return "";
  const { marks, changes } = phrases.waiting;
  return plural(unsent.every(({ event }) => event === "prompted") ? marks : changes, unsent.length);
}

/** Return the panes of the layout that is shown. */
export function panesOf({ opened, layout, main }: Pick<State, "opened" | "layout" | "main">): readonly Spec[] {
  if (opened === null) return [];
  const planes = opened.planes.map(({ name }) => name);
  return arrange(layout, planes, imagesBeside(opened), main);
}

/** Return the images that are shown side by side; null: the chosen one, of a case with many times. */
export function imagesBeside({ case: known, images, beside }: Opened): readonly (number | null)[] {
  const own = images - beside.length;
  const first = known.timed ? [null] : Array.from({ length: own }, (_, image) => image);
  return [...first, ...beside.map((_, i) => own + i)];
}

/** Return what one of a case's images is called. */
export function imageName({ case: known, images, beside }: Opened, image: number): string {
  const own = images - beside.length;
  if (image >= own) return beside[image - own].name;
  if (known.timed) return fill(phrases.common.time, { n: image + 1 });
  return own > 1 ? fill(phrases.common.image, { n: image + 1 }) : known.modality || phrases.common.thisImage;
}

/** Return the series whose voxels an image of a case has; null where they are the case's own. */
export function seriesInfo({ images, beside }: Opened, image: number): SeriesInfo | null {
  return beside[image - (images - beside.length)] ?? null;
}

/** Return one of a case's images, null where it has not been fetched. */
export function seriesOf(opened: Opened, image: number): Series | null {
  return image === 0 ? opened : (opened.others.get(image) ?? null);
}

/** Return how an image is shown: as it was left, or in grey and whole where it never was chosen. */
export function lookOf(
  state: Pick<State, "image" | "contrast" | "colours" | "looks">,
  image: number,
  series: Series,
): Look {
  if (image === state.image) return state;
  return state.looks[image] ?? { contrast: series.statistics.auto, colours: "Grey" };
}

/** Return how many slices of a plane are laid over each other. */
export function thicknessOf({ opened, thickness }: Pick<State, "opened" | "thickness">, plane: Plane): number {
  if (opened === null || thickness === 0) return 1;
  return Math.max(1, Math.round(thickness / spacingOf(opened.volume.affine)[plane.normal]));
}

/** Return the voxel through which a pane shows its slice. */
export function cursorOf(
  { cursors, crosshair }: Pick<State, "cursors" | "crosshair">,
  pane: string | undefined,
): Index {
  return (pane === undefined ? undefined : cursors[pane]) ?? crosshair;
}

/** Return the plane that slice by slice edits work along: the one alone in view, or the last one under the pointer. */
export function activePlane({ opened, layout, plane }: Pick<State, "opened" | "layout" | "plane">): Plane | null {
  const planes = opened?.planes ?? [];
  const found = planes.find(({ name }) => name === layout) ?? planes.find(({ name }) => name === plane);
  return found ?? planes.at(0) ?? null;
}

/** Return how the newest prompt of a session was adapted to the image; "auto" where there is none. */
export function finetuneOf(events: readonly Event[]): Finetune {
  let finetune: Finetune = "auto";
  for (const event of events) if (event.event === "prompted") finetune = event.finetune;
  return finetune;
}

/** Return the methods that can work on this image and take this kind of prompt. */
export function methodsFor(methods: readonly Method[], flat: boolean, kind: string | null): Method[] {
  return methods.filter(
    (method) => method.dimensions.includes(flat ? 2 : 3) && (kind === null || method.prompts.includes(kind)),
  );
}

/** Return a method with the tool that goes with it: the one in use where the method takes it. */
export function withMethod(state: State, method: string): Pick<State, "method" | "points" | "tool"> {
  const { methods, tool } = state;
  const card = methods.find(({ id }) => id === method);
  const keep = !isPromptTool(tool) || card === undefined || card.prompts.includes(tool);
  const first = (["click", "stroke", "box", "extremes", "lasso"] as const).find((kind) => card?.prompts.includes(kind));
  return { method, points: [], tool: keep ? tool : (first ?? "navigate") };
}
