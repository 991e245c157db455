/** How things look: window and level, the mask's opacity and outline. */

import type { Actions } from "../actions";
import { ALONE, type Layout, SEVERAL } from "../arrange";
import { COLOUR_MAPS, type ColourMap } from "../colours";
import { type Preset, presetsOf } from "../contrast";
import { h, refill, set } from "../dom";
import { fill, phrases } from "../phrases";
import { imageName, imagesBeside, seriesOf } from "../state";
import { rove } from "../roving";
import { reportErrors } from "../toasts";
import type { Slab } from "../slices";
import { short } from "../words";
import { seriesList } from "./series";

const SAY = phrases.display;
const MAPS = COLOUR_MAPS.map((name) => [name, phrases.colourMaps[name]] as const);
const SLAB_MM = 10; // a slab's thickness to begin with
const SLABS: readonly (readonly [Slab | "off", string])[] = [
  ["off", SAY.slabOff],
  ["max", SAY.slabMax],
  ["mean", SAY.slabMean],
  ["min", SAY.slabMin],
];

type Flag = "outline" | "masked" | "smooth" | "uncertain" | "crosshairs" | "linkedZoom" | "linkedSlices";

export function displayPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const range = (
    name: string,
    label: string,
    change: (value: number) => void,
  ): { row: HTMLElement; input: HTMLInputElement } => {
    const id = `display-${name}`;
    const input = h("input", {
      id,
      type: "range",
      oninput: () => {
        change(Number(input.value));
      },
    });
    const output = h("output", { for: id });
    const row = h("div", { class: "slider-row" }, h("label", { for: id }, label), input, output);
    return { row, input };
  };
  const level = range("level", SAY.level, (value) => {
    const { low, high } = store.state.contrast;
    actions.views.setContrast({ low: value - (high - low) / 2, high: value + (high - low) / 2 });
  });
  const width = range("window", SAY.window, (value) => {
    const middle = (store.state.contrast.low + store.state.contrast.high) / 2;
    actions.views.setContrast({ low: middle - value / 2, high: middle + value / 2 });
  });
  const opacity = range("opacity", SAY.opacity, (value) => {
    store.set({ opacity: value / 100 });
  });
  Object.assign(opacity.input, { min: "0", max: "100", step: "1" });
  const presets = h("div", { class: "presets", role: "group", "aria-label": phrases.windows.title });
  rove(presets);
  const check = (label: string, key: Flag, shortcut: string): HTMLElement => {
    const input = h("input", {
      type: "checkbox",
      onchange: () => {
        if (key === "linkedSlices") actions.views.linkSlices(input.checked);
        else store.set({ [key]: input.checked });
      },
    });
    const about = key === "uncertain" ? SAY.uncertaintyTitle : label;
    const title = shortcut === "" ? about : `${about} (${shortcut})`;
    const colour = key === "uncertain" && h("span", { class: "uncertain-colour", "aria-hidden": "true" });
    const element = h("label", { class: "check", title }, input, colour, label);
    store.on([key, "opened"], (state) => {
      input.checked = state[key];
      element.hidden = ofVolumes(key) && (state.opened?.planes.length ?? 2) === 1;
    });
    return element;
  };
  const layout = choice<Layout>("layout", SAY.layout, [...SEVERAL, ...ALONE], (value) => {
    actions.views.setLayout(value);
  });
  const image = choice<string>("image", SAY.image, [], (value) => {
    reportErrors(() => actions.images.setImage(Number(value)));
  });
  const over = choice<string>("over-it", SAY.over, [], (value) => {
    reportErrors(() => actions.images.fuse(value === "" ? null : Number(value)));
  });
  const overColours = choice<ColourMap>("in", SAY.overColours, MAPS, (value) => {
    actions.images.setFusedColours(value);
  });
  const overOpacity = h("input", {
    type: "range",
    class: "fused-opacity",
    min: 0,
    max: 100,
    "aria-label": SAY.overOpacity,
    oninput: () => {
      store.set({ fusedOpacity: Number(overOpacity.value) / 100 });
    },
  });
  overColours.row.append(overOpacity);
  store.on(["opened", "image", "fused", "looks", "fusedOpacity"], (state) => {
    const { opened } = state;
    const count = opened?.images ?? 1;
    const names = Array.from({ length: count }, (_, i) =>
      h("option", { value: String(i) }, opened === null ? "" : imageName(opened, i)),
    );
    image.row.hidden = over.row.hidden = count < 2;
    overColours.row.hidden = state.fused === null;
    image.list.replaceChildren(...names);
    image.list.value = String(state.image);
    over.list.replaceChildren(
      h("option", { value: "" }, SAY.nothing),
      ...names.filter((_, i) => i !== state.image).map((name) => name.cloneNode(true)),
    );
    over.list.value = state.fused === null ? "" : String(state.fused);
    overColours.list.value = state.fused === null ? "PET" : state.looks[state.fused].colours;
    overOpacity.value = String(Math.round(100 * state.fusedOpacity));
    layout.list.querySelector<HTMLOptionElement>('option[value="series"]')!.hidden =
      opened === null || imagesBeside(opened).length < 2;
  });
  const colours = choice<ColourMap>("colours", SAY.colours, MAPS, (value) => {
    store.set({ colours: value });
  });
  const slab = choice<Slab | "off">("slab", SAY.slab, SLABS, (value) => {
    if (value === "off") store.set({ thickness: 0 });
    else store.set({ slab: value, thickness: store.state.thickness || SLAB_MM });
  });
  const thick = h("input", {
    type: "number",
    class: "text-input slab-mm",
    min: 1,
    max: 500,
    "aria-label": SAY.thickness,
    onchange: () => {
      const mm = Number(thick.value);
      if (mm >= 1 && mm <= 500) store.set({ thickness: mm });
      thick.value = String(store.state.thickness);
    },
  });
  slab.row.append(h("span", { class: "slab-thickness" }, thick, " mm"));
  store.on(["opened", "layout", "colours", "slab", "thickness"], (state) => {
    const volume = state.opened !== null && state.opened.planes.length > 1;
    layout.row.hidden = slab.row.hidden = !volume;
    colours.row.hidden = state.opened === null || state.opened.volume.rgb;
    layout.list.value = state.layout;
    colours.list.value = state.colours;
    slab.list.value = state.thickness === 0 ? "off" : state.slab;
    thick.value = String(state.thickness);
    slab.row.dataset.off = String(state.thickness === 0);
  });
  const drag = h(
    "button",
    {
      type: "button",
      class: "chip",
      title: phrases.windows.dragTitle,
      onclick: () => {
        actions.tools.setTool(store.state.tool === "window" ? "navigate" : "window");
      },
    },
    phrases.windows.drag,
  );
  store.on(["opened", "image", "arrived"], ({ opened: shown, image: chosen, arrived }, changed) => {
    const opened = shown === null ? null : seriesOf(shown, chosen);
    if (!changed.has("opened") && !changed.has("image") && arrived < 1) return; // the values of all slices are known at the end
    const offered = opened === null ? [] : presetsOf(opened.statistics, opened.volume.rgb);
    refill(presets, [...offered.map((preset, i) => chip(actions, preset, i + 1)), ...(opened === null ? [] : [drag])]);
  });
  store.on(["tool"], ({ tool }) => {
    set(drag, "aria-pressed", String(tool === "window"));
  });
  store.on(["opened", "image", "contrast", "arrived"], ({ opened: shown, image: chosen, contrast }) => {
    const opened = shown === null ? null : seriesOf(shown, chosen);
    const { low, high } = opened?.statistics ?? { low: 0, high: 1 };
    const span = high - low || 1;
    const step = span > 200 ? 1 : span / 200;
    Object.assign(level.input, { min: String(low), max: String(high), step: String(step) });
    Object.assign(width.input, { min: String(step), max: String(span), step: String(step) });
    level.input.value = String((contrast.low + contrast.high) / 2);
    width.input.value = String(contrast.high - contrast.low);
    level.input.disabled = width.input.disabled = opened === null;
    write(level.row, opened === null ? "" : short((contrast.low + contrast.high) / 2));
    write(width.row, opened === null ? "" : short(contrast.high - contrast.low));
    for (const button of presets.querySelectorAll("button")) {
      set(button, "aria-pressed", String(button.dataset.window === `${contrast.low} ${contrast.high}`));
    }
  });
  store.on(["opacity"], (state) => {
    opacity.input.value = String(Math.round(100 * state.opacity));
    write(opacity.row, `${Math.round(100 * state.opacity)} %`);
  });
  return h(
    "section",
    { class: "section" },
    h("div", { class: "section-head" }, h("h2", {}, SAY.title)),
    layout.row,
    image.row,
    over.row,
    overColours.row,
    seriesList(actions),
    colours.row,
    slab.row,
    presets,
    level.row,
    width.row,
    opacity.row,
    h(
      "div",
      { class: "checks" },
      check(SAY.mask, "masked", "H"),
      check(SAY.outline, "outline", "O"),
      check(SAY.smooth, "smooth", "I"),
      check(SAY.uncertainty, "uncertain", "D"),
      check(SAY.crosshair, "crosshairs", "Y"),
      check(SAY.linkSlices, "linkedSlices", ""),
      check(SAY.linkZoom, "linkedZoom", ""),
    ),
  );
}

/** Return a list to choose from, with its name before it. */
function choice<T extends string>(
  key: string,
  name: string,
  options: readonly (readonly [T, string])[],
  change: (value: T) => void,
): { row: HTMLElement; list: HTMLSelectElement } {
  const id = `display-${key}`;
  const list = h(
    "select",
    {
      id,
      class: "select small",
      onchange: () => {
        change(list.value as T);
        list.blur();
      },
    },
    ...options.map(([value, words]) => h("option", { value }, words)),
  );
  return { row: h("div", { class: "choice-row" }, h("label", { for: id }, name), list), list };
}

const ofVolumes = (key: Flag): boolean => ["crosshairs", "linkedSlices", "linkedZoom"].includes(key);

function chip(actions: Actions, { name, contrast }: Preset, key: number): HTMLElement {
  return h(
    "button",
    {
      type: "button",
      class: "chip",
      "data-key": `window-${name}`,
      title: fill(phrases.windows.chip, { name: nameOfWindow(name), key }),
      "data-window": `${contrast.low} ${contrast.high}`,
      onclick: () => {
        actions.views.setContrast(contrast);
      },
    },
    nameOfWindow(name),
  );
}

/** Return what a window is called; it is kept by its English name. */
function nameOfWindow(name: string): string {
  const names: Readonly<Record<string, string>> = phrases.windows;
  return names[name] ?? name;
}

function write(row: HTMLElement, text: string): void {
  row.querySelector("output")!.value = text;
}
