/** What a person likes, kept in the browser: layout, method, tool, window, colours of the page and how the mask looks. */

import { type Side, SIDES, type Theme, THEMES } from "./themes";
import { isSeveral, type Layout, LAYOUTS } from "./arrange";
import { COLOUR_MAPS, type ColourMap } from "./colours";
import { type Contrast, CT_PRESETS, type Statistics } from "./contrast";
import { type Language, LANGUAGES } from "./phrases";
import { type State, type Store, type Tool } from "./state";

const KEY = "segmend";
const TOOLS: readonly Tool[] = ["navigate", "click", "stroke", "box", "lasso", "extremes"];
const AUTO = "Auto";
const FULL = "Full";

export interface Preferences {
  readonly name?: string; // that others see
  readonly layout?: Layout; // of volumes
  readonly several?: Layout; // the one that F goes back to from one plane alone
  readonly colours?: ColourMap;
  readonly crosshairs?: boolean;
  readonly linkedZoom?: boolean;
  readonly measuresShown?: boolean;
  readonly methods?: Readonly<Record<string, string>>; // by "2D" and "3D"
  readonly tool?: Tool;
  readonly windows?: Readonly<Record<string, string | Contrast>>; // by modality: a preset's name, or a CT's own window
  readonly opacity?: number;
  readonly outline?: boolean;
  readonly smooth?: boolean;
  readonly uncertain?: boolean;
  readonly radius?: number;
  readonly reachMm?: number;
  readonly language?: Language | undefined; // undefined: the browser's
  readonly theme?: Theme;
  readonly panel?: Side;
}

/** Return what is kept; nothing where it cannot be read. */
export function preferences(): Preferences {
  try {
    return checked(JSON.parse(localStorage.getItem(KEY) ?? "{}"));
  } catch {
    return {}; // no storage for this page, or not ours
  }
}

export function prefer(changes: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...preferences(), ...changes }));
  } catch {
    // the page works without
  }
}

/** Return what of some values is as it should be. */
export function checked(values: unknown): Preferences {
  if (typeof values !== "object" || values === null) return {};
  const all = values as Record<string, unknown>;
  const flag = (key: string): object => (typeof all[key] === "boolean" ? { [key]: all[key] } : {});
  const within = (key: string, low: number, high: number): object => {
    const value = all[key];
    return typeof value === "number" && value >= low && value <= high ? { [key]: value } : {};
  };
  const record = (key: string, fits: (value: unknown) => boolean): object => {
    const value = all[key];
    if (typeof value !== "object" || value === null) return {};
    return { [key]: Object.fromEntries(Object.entries(value).filter(([, one]) => fits(one))) };
  };
  return {
    ...(LAYOUTS.some((name) => name === all.layout) ? { layout: all.layout as Layout } : {}),
    ...(LAYOUTS.some((name) => name === all.several && isSeveral(name)) ? { several: all.several as Layout } : {}),
    ...(COLOUR_MAPS.some((name) => name === all.colours) ? { colours: all.colours as ColourMap } : {}),
    ...(TOOLS.some((name) => name === all.tool) ? { tool: all.tool as Tool } : {}),
    ...(typeof all.language === "string" && all.language in LANGUAGES ? { language: all.language as Language } : {}),
    ...(THEMES.some((name) => name === all.theme) ? { theme: all.theme as Theme } : {}),
    ...(SIDES.some((name) => name === all.panel) ? { panel: all.panel as Side } : {}),
    ...(typeof all.name === "string" && all.name !== "" ? { name: all.name.slice(0, 40) } : {}),
    ...record("methods", (one) => typeof one === "string"),
    ...record("windows", (one) => typeof one === "string" || isContrast(one)),
    ...within("opacity", 0, 1),
    ...within("radius", 1, 100),
    ...within("reachMm", 1, 200),
    ...flag("outline"),
    ...flag("smooth"),
    ...flag("uncertain"),
    ...flag("crosshairs"),
    ...flag("linkedZoom"),
    ...flag("measuresShown"),
  };
}

function isContrast(value: unknown): value is Contrast {
  const { low, high } = (value ?? {}) as Record<string, unknown>;
  return typeof low === "number" && typeof high === "number" && low < high;
}

/** Return the window that a case opens with: the one last chosen for its modality, else the usual one. */
export function windowFor(statistics: Statistics, modality: string, liked = preferences()): Contrast {
  const usual = statistics.ct ? CT_PRESETS[0].contrast : statistics.auto;
  const chosen = liked.windows?.[kindOf(statistics, modality)];
  if (chosen === undefined) return usual;
  if (typeof chosen !== "string") return statistics.ct ? chosen : usual; // only CT has one scale for all images
  if (chosen === AUTO) return statistics.auto;
  if (chosen === FULL && statistics.high > statistics.low) return { low: statistics.low, high: statistics.high };
  return (statistics.ct ? CT_PRESETS.find(({ name }) => name === chosen)?.contrast : undefined) ?? usual;
}

/** Return how to keep a window: by its preset's name where it has one; null where it fits this image alone. */
export function nameOf(contrast: Contrast, statistics: Statistics): string | Contrast | null {
  const same = (other: Contrast): boolean => other.low === contrast.low && other.high === contrast.high;
  const preset = statistics.ct ? CT_PRESETS.find((one) => same(one.contrast))?.name : undefined;
  if (preset !== undefined) return preset;
  if (same(statistics.auto)) return AUTO;
  if (same({ low: statistics.low, high: statistics.high })) return FULL;
  return statistics.ct ? contrast : null;
}

const kindOf = ({ ct }: Statistics, modality: string): string => (ct ? "CT" : modality.toUpperCase() || "other");

const KEPT = [
  "tool",
  "opacity",
  "outline",
  "smooth",
  "uncertain",
  "radius",
  "reachMm",
  "colours",
  "crosshairs",
  "linkedZoom",
  "measuresShown",
  "theme",
  "panel",
] as const;

/** Return what a page starts with. */
export function liked(): Partial<State> {
  const kept = preferences();
  const known = KEPT.map((key) => [key, kept[key]] as const);
  return Object.fromEntries(known.filter(([, value]) => value !== undefined));
}

/** Keep what the person changes from now on; what opening a case sets is no choice of theirs. */
export function keepPreferences(store: Store): void {
  let started = false;
  store.on(["layout", "method", "contrast", ...KEPT], (state, changed) => {
    if (!started || changed.has("opened")) return;
    const { opened } = state;
    for (const key of KEPT)
      if (changed.has(key) && !(key === "colours" && changed.has("image"))) prefer({ [key]: state[key] });
    if (opened === null) return;
    if (changed.has("layout") && opened.planes.length > 1) prefer({ layout: state.layout, several: state.several });
    if (changed.has("method")) {
      prefer({ methods: { ...preferences().methods, [dimensionOf(opened.volume.shape[0])]: state.method } });
    }
    if (changed.has("contrast") && !changed.has("image")) {
      const name = nameOf(state.contrast, opened.statistics);
      const { windows } = preferences();
      if (name !== null) prefer({ windows: { ...windows, [kindOf(opened.statistics, opened.case.modality)]: name } });
    }
  });
  started = true;
}

export const dimensionOf = (slices: number): "2D" | "3D" => (slices === 1 ? "2D" : "3D");
