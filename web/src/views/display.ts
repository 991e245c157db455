/** How things look: window and level, the mask's opacity and outline. */

import type { Actions } from "../actions";
import { CT_PRESETS, type Preset } from "../contrast";
import { h, refill, set } from "../dom";
import type { State } from "../state";

export function displayPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const range = (label: string, change: (value: number) => void): { row: HTMLElement; input: HTMLInputElement } => {
    const id = `display-${label.toLowerCase()}`;
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
  const level = range("Level", (value) => {
    const { low, high } = store.state.contrast;
    actions.setContrast({ low: value - (high - low) / 2, high: value + (high - low) / 2 });
  });
  const width = range("Window", (value) => {
    const middle = (store.state.contrast.low + store.state.contrast.high) / 2;
    actions.setContrast({ low: middle - value / 2, high: middle + value / 2 });
  });
  const opacity = range("Opacity", (value) => {
    store.set({ opacity: value / 100 });
  });
  Object.assign(opacity.input, { min: "0", max: "100", step: "1" });
  const presets = h("div", { class: "presets", role: "group", "aria-label": "Windows" });
  const check = (label: string, key: "outline" | "masked" | "smooth" | "uncertain", shortcut: string): HTMLElement => {
    const input = h("input", {
      type: "checkbox",
      onchange: () => {
        store.set({ [key]: input.checked });
      },
    });
    store.on([key], (state) => {
      input.checked = state[key];
    });
    return h("label", { class: "check", title: `${label} (${shortcut})` }, input, label);
  };
  store.on(["opened"], (state) => {
    refill(
      presets,
      presetsOf(state).map((preset) => chip(actions, preset)),
    );
  });
  store.on(["opened", "contrast"], ({ opened, contrast }) => {
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
    h("div", { class: "section-head" }, h("h2", {}, "Display")),
    presets,
    level.row,
    width.row,
    opacity.row,
    h(
      "div",
      { class: "checks" },
      check("Mask", "masked", "H"),
      check("Outline", "outline", "O"),
      check("Smooth", "smooth", "I"),
      check("Uncertainty", "uncertain", "D"),
    ),
  );
}

function presetsOf({ opened }: State): Preset[] {
  if (opened === null) return [];
  const { auto, low, high, ct } = opened.statistics;
  const full = { name: "Full", contrast: { low, high: high > low ? high : low + 1 } };
  if (opened.volume.rgb) return [{ ...full, name: "Original" }];
  return [...(ct ? CT_PRESETS : []), { name: "Auto", contrast: auto }, full];
}

function chip(actions: Actions, { name, contrast }: Preset): HTMLElement {
  return h(
    "button",
    {
      type: "button",
      class: "chip",
      "data-key": `window-${name}`,
      "data-window": `${contrast.low} ${contrast.high}`,
      onclick: () => {
        actions.setContrast(contrast);
      },
    },
    name,
  );
}

function write(row: HTMLElement, text: string): void {
  row.querySelector("output")!.value = text;
}

function short(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
