/** Finishing a mask without a method: the brush, and rules for the whole mask; each is a step that can be undone. */

import "../editing.css";
import type { Actions } from "../actions";
import type { Edit } from "../api";
import { h, refill, set } from "../dom";
import { titleOf } from "../labels";
import { fill, phrases } from "../phrases";
import { rove } from "../roving";
import { activePlane, isEditTool, type EditTool } from "../state";

const SAY = phrases.editing;

export function editingPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const body = h("div", { class: "edit-rows" }, ...brushRows(actions), ...ruleRows(actions), ...sliceRows(actions));
  const element = h("details", { class: "section editing" }, h("summary", {}, h("h2", {}, SAY.title)), body);
  store.on(["opened"], ({ opened }) => {
    element.hidden = opened === null;
  });
  store.on(["tool"], ({ tool }) => {
    if (isEditTool(tool)) element.open = true;
  });
  return element;
}

// Brush

function brushRows(actions: Actions): HTMLElement[] {
  const store = actions.store;
  const choice = (what: "square" | "space", off: string, on: string): HTMLElement => {
    const buttons = [false, true].map((value) =>
      h(
        "button",
        {
          type: "button",
          class: "chip",
          onclick: () => {
            store.set({ brush: { ...store.state.brush, [what]: value } });
          },
        },
        value ? on : off,
      ),
    );
    store.on(["brush"], ({ brush }) => {
      buttons.forEach((button, i) => {
        set(button, "aria-pressed", String(brush[what] === (i === 1)));
      });
    });
    const name = fill(SAY.brushChoice, { off, on });
    const group = h("div", { class: "presets", role: "group", "aria-label": name }, ...buttons);
    rove(group);
    return group;
  };
  const solid = choice("space", SAY.oneSlice, SAY.space);
  const limit = (end: "low" | "high", label: string): HTMLInputElement => {
    const input = number(label, 0, {}, () => {
      store.set({ brush: { ...store.state.brush, [end]: Number(input.value) } });
    });
    store.on(["brush"], ({ brush }) => {
      if (document.activeElement !== input) input.value = String(brush[end]);
    });
    return input;
  };
  const limited = h("input", {
    type: "checkbox",
    onchange: () => {
      store.set({ brush: { ...store.state.brush, limited: limited.checked } });
    },
  });
  store.on(["brush"], ({ brush }) => {
    limited.checked = brush.limited;
  });
  const fromWindow = button(SAY.window, SAY.windowTitle, () => {
    const { contrast, brush, opened } = store.state;
    const whole = (opened?.statistics.high ?? 1) - (opened?.statistics.low ?? 0) > 20;
    const tidy = (value: number): number => (whole ? Math.round(value) : Math.round(value * 1000) / 1000);
    store.set({ brush: { ...brush, low: tidy(contrast.low), high: tidy(contrast.high) } });
  });
  store.on(["opened"], ({ opened, brush, contrast }) => {
    solid.hidden = opened?.planes.length === 1;
    if (opened !== null)
      store.set({ brush: { ...brush, low: Math.round(contrast.low), high: Math.round(contrast.high) } });
  });
  return [
    row(SAY.brush, choice("square", SAY.round, SAY.square), solid),
    h(
      "div",
      { class: "edit-row" },
      h("label", { class: "check", title: SAY.withinTitle }, limited, SAY.within),
      h("span", { class: "edit-together" }, limit("low", SAY.lowest), "–", limit("high", SAY.highest)),
      fromWindow,
    ),
  ];
}

// Rules for the whole mask

function ruleRows(actions: Actions): HTMLElement[] {
  const store = actions.store;
  const edit = (make: () => Edit) => () => {
    actions.marks.edit(make());
  };
  const mm = (label: string, value: number, least = 0.1): HTMLInputElement =>
    number(label, value, { min: least, max: 50, step: 0.1 });
  const smooth = mm(SAY.smoothing, 1);
  const size = number(SAY.sizeIn, 50, { min: 1, step: 1 });
  const distance = mm(SAY.distance, 1);
  const other = h("select", { "aria-label": SAY.otherLabel });
  const gap = mm(SAY.gap, 2, 0);
  const combine = (operation: "union" | "subtract" | "intersect") =>
    edit(() => ({
      kind: "combine",
      operation,
      other: Number(other.value),
      margin_mm: operation === "union" ? 0 : Number(gap.value),
    }));
  const combined = row(
    SAY.with,
    other,
    button(SAY.takeOver, SAY.takeOverTitle, combine("union")),
    button(SAY.merge, SAY.mergeTitle, () => {
      actions.labels.merge(Number(other.value));
    }),
    button(SAY.keepAway, SAY.keepAwayTitle, combine("subtract")),
    button(SAY.keepNear, SAY.keepNearTitle, combine("intersect")),
    withUnit(gap, "mm"),
  );
  store.on(["labels", "label"], ({ labels, label }) => {
    const chosen = other.value;
    const others = labels.filter(({ value }) => value !== label);
    refill(
      other,
      others.map((one) => h("option", { value: one.value }, titleOf(one))),
    );
    if (others.some(({ value }) => String(value) === chosen)) other.value = chosen;
    combined.hidden = others.length === 0;
  });
  const grow = (sign: 1 | -1) => edit(() => ({ kind: "grow", mm: sign * Number(distance.value) }));
  const holes = (each: boolean) =>
    edit(() => ({ kind: "fill_holes", axis: each ? (activePlane(store.state)?.normal ?? 0) : null }));
  const inSlices = button(SAY.inSlices, SAY.inSlicesTitle, holes(true));
  store.on(["opened"], ({ opened }) => {
    inSlices.hidden = opened?.planes.length === 1;
  });
  return [
    row(SAY.holes, button(SAY.fill, SAY.fillTitle, holes(false)), inSlices),
    row(
      SAY.parts,
      button(
        SAY.keepLargest,
        SAY.keepLargestTitle,
        edit(() => ({ kind: "keep_largest" })),
      ),
      toolButton(actions, "island", SAY.pick, SAY.pickTitle),
    ),
    row(
      "",
      button(
        SAY.removeUnder,
        SAY.removeUnderTitle,
        edit(() => ({ kind: "remove_small", below_mm3: Number(size.value) })),
      ),
      withUnit(size, "mm³"),
    ),
    row(
      SAY.surface,
      button(
        SAY.smooth,
        SAY.smoothTitle,
        edit(() => ({ kind: "smooth", mm: Number(smooth.value), filter: "gaussian" })),
      ),
      withUnit(smooth, "mm"),
    ),
    row(
      SAY.size,
      button(SAY.grow, SAY.growTitle, grow(1)),
      button(SAY.shrink, SAY.shrinkTitle, grow(-1)),
      withUnit(distance, "mm"),
    ),
    row(
      SAY.values,
      button(
        SAY.threshold,
        SAY.thresholdTitle,
        edit(() => {
          const { low, high } = store.state.brush;
          return { kind: "threshold", within: [low, high], region: null, margin_mm: 3, inside: "replace" };
        }),
      ),
      toolButton(actions, "threshold", SAY.inLasso, SAY.inLassoTitle),
    ),
    combined,
  ];
}

// From slice to slice, and cuts

function sliceRows(actions: Actions): HTMLElement[] {
  const store = actions.store;
  const plane = h("span", { class: "edit-note" });
  store.on(["opened", "layout", "plane"], (state) => {
    const active = activePlane(state);
    plane.textContent = active === null ? "" : phrases.planes[active.name];
  });
  const slices = row(
    SAY.slices,
    button(SAY.interpolate, SAY.interpolateTitle, () => {
      actions.marks.edit({ kind: "interpolate", axis: activePlane(store.state)?.normal ?? 0, slices: [] });
    }),
    button(SAY.copyBack, SAY.copyBackTitle, () => {
      actions.marks.copySlice(-1);
    }),
    button(SAY.copyOn, SAY.copyOnTitle, () => {
      actions.marks.copySlice(1);
    }),
    plane,
  );
  store.on(["opened"], ({ opened }) => {
    slices.hidden = opened?.planes.length === 1;
  });
  const to = h(
    "select",
    {
      "aria-label": SAY.cutTo,
      onchange: () => {
        store.set({ cutTo: to.value === "new" ? "new" : "nothing" });
      },
    },
    h("option", { value: "new" }, SAY.toNew),
    h("option", { value: "nothing" }, SAY.away),
  );
  return [slices, row(SAY.cut, toolButton(actions, "cut", SAY.split, SAY.splitTitle), to)];
}

function row(word: string, ...children: (Node | string)[]): HTMLElement {
  const name = h("span", { class: "edit-word" }, word);
  return h("div", { class: "edit-row" }, name, h("div", { class: "edit-controls" }, ...children));
}

/** Return a field and its unit, which are not parted at the end of a line. */
function withUnit(field: HTMLElement, unit: string): HTMLElement {
  return h("span", { class: "edit-together" }, field, unit);
}

function button(text: string, title: string, onclick: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "button small", title, onclick }, text);
}

function toolButton(actions: Actions, tool: EditTool, text: string, title: string): HTMLButtonElement {
  const element = button(text, title, () => {
    actions.tools.setTool(actions.store.state.tool === tool ? "navigate" : tool);
  });
  actions.store.on(["tool"], (state) => {
    set(element, "aria-pressed", String(state.tool === tool));
  });
  return element;
}

function number(
  label: string,
  value: number,
  limits: Readonly<Record<string, number>>,
  oninput: () => void = () => undefined,
): HTMLInputElement {
  return h("input", {
    type: "number",
    class: "edit-number",
    "aria-label": label,
    title: label,
    value,
    step: "any",
    oninput,
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Enter" && event.target instanceof HTMLElement) event.target.blur(); // keys are shortcuts again
    },
    ...limits,
  });
}
