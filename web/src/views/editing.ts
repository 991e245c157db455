/** Finishing a mask without a method: the brush, and rules for the whole mask; each is a step that can be undone. */

import "../editing.css";
import type { Actions } from "../actions";
import type { Edit } from "../api";
import { h, refill, set } from "../dom";
import { activePlane, isEditTool, type EditTool } from "../state";

const TITLES = { axial: "axial", coronal: "coronal", sagittal: "sagittal" } as const;

export function editingPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const body = h("div", { class: "edit-rows" }, ...brushRows(actions), ...ruleRows(actions), ...sliceRows(actions));
  const element = h("details", { class: "section editing" }, h("summary", {}, h("h2", {}, "Edit mask")), body);
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
    return h("div", { class: "presets", role: "group", "aria-label": `Brush: ${off} or ${on}` }, ...buttons);
  };
  const solid = choice("space", "One slice", "3D");
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
  const fromWindow = button("Window", "Take the range of the window that is shown", () => {
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
    row("Brush", choice("square", "Round", "Square"), solid),
    h(
      "div",
      { class: "edit-row" },
      h(
        "label",
        { class: "check", title: "The brush changes only voxels whose value lies in the range" },
        limited,
        "Within",
      ),
      limit("low", "Lowest value"),
      "–",
      limit("high", "Highest value"),
      fromWindow,
    ),
  ];
}

// Rules for the whole mask

function ruleRows(actions: Actions): HTMLElement[] {
  const store = actions.store;
  const edit = (make: () => Edit) => () => {
    actions.edit(make());
  };
  const mm = (label: string, value: number, least = 0.1): HTMLInputElement =>
    number(label, value, { min: least, max: 50, step: 0.1 });
  const smooth = mm("Smoothing in mm", 1);
  const size = number("Size in mm³", 50, { min: 1, step: 1 });
  const distance = mm("Distance in mm", 1);
  const other = h("select", { "aria-label": "The other label" });
  const gap = mm("Gap in mm", 2);
  const combine = (operation: "union" | "subtract" | "intersect") =>
    edit(() => ({
      kind: "combine",
      operation,
      other: Number(other.value),
      margin_mm: operation === "union" ? 0 : Number(gap.value),
    }));
  const combined = h(
    "div",
    { class: "edit-row" },
    h("span", { class: "edit-word" }, "With"),
    other,
    button("Take over", "Its voxels become the selected label's", combine("union")),
    h(
      "button",
      {
        type: "button",
        class: "button",
        title: "Its voxels become the selected label's, and it is deleted: one step",
        onclick: () => {
          actions.merge(Number(other.value));
        },
      },
      "Merge",
    ),
    button("Keep away", "Take away what is nearer to it than the gap", combine("subtract")),
    button("Keep near", "Take away what is farther from it than the gap", combine("intersect")),
    gap,
    "mm",
  );
  store.on(["labels", "label"], ({ labels, label }) => {
    const chosen = other.value;
    const others = labels.filter(({ value }) => value !== label);
    refill(
      other,
      others.map(({ value, name }) => h("option", { value }, name)),
    );
    if (others.some(({ value }) => String(value) === chosen)) other.value = chosen;
    combined.hidden = others.length === 0;
  });
  const grow = (sign: 1 | -1) => edit(() => ({ kind: "grow", mm: sign * Number(distance.value) }));
  const holes = (each: boolean) =>
    edit(() => ({ kind: "fill_holes", axis: each ? (activePlane(store.state)?.normal ?? 0) : null }));
  const inSlices = button("In slices", "In every slice of the plane that was used last", holes(true));
  store.on(["opened"], ({ opened }) => {
    inSlices.hidden = opened?.planes.length === 1;
  });
  return [
    row("Holes", button("Fill", "Fill what the mask encloses on all sides", holes(false)), inSlices),
    row(
      "Parts",
      button(
        "Keep largest",
        "Only the largest connected part stays",
        edit(() => ({ kind: "keep_largest" })),
      ),
      toolButton(
        actions,
        "island",
        "Pick",
        "Click a part to erase it, with Shift to keep it alone, or a hole to fill it",
      ),
    ),
    row(
      "",
      button(
        "Remove under",
        "Remove connected parts under this size",
        edit(() => ({ kind: "remove_small", below_mm3: Number(size.value) })),
      ),
      size,
      "mm³",
    ),
    row(
      "Surface",
      button(
        "Smooth out",
        "Smooth the surface",
        edit(() => ({ kind: "smooth", mm: Number(smooth.value), filter: "gaussian" })),
      ),
      smooth,
      "mm",
    ),
    row(
      "Size",
      button("Grow", "Grow on all sides", grow(1)),
      button("Shrink", "Shrink on all sides", grow(-1)),
      distance,
      "mm",
    ),
    row(
      "Values",
      button(
        "Threshold",
        "In the mask and 3 mm round it, keep to the values above",
        edit(() => {
          const { low, high } = store.state.brush;
          return { kind: "threshold", within: [low, high], region: null, margin_mm: 3, inside: "replace" };
        }),
      ),
      toolButton(
        actions,
        "threshold",
        "In a lasso",
        "Draw round an area: what has the values above is the object there",
      ),
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
    plane.textContent = active === null ? "" : TITLES[active.name];
  });
  const slices = row(
    "Slices",
    button("Interpolate", "Fill the empty slices between those with a mask", () => {
      actions.edit({ kind: "interpolate", axis: activePlane(store.state)?.normal ?? 0, slices: [] });
    }),
    button("Copy back", "Copy this slice's mask to the one before (,)", () => {
      actions.copySlice(-1);
    }),
    button("Copy on", "Copy this slice's mask to the next (.)", () => {
      actions.copySlice(1);
    }),
    plane,
  );
  store.on(["opened"], ({ opened }) => {
    slices.hidden = opened?.planes.length === 1;
  });
  const to = h(
    "select",
    {
      "aria-label": "What becomes of the part that is cut off",
      onchange: () => {
        store.set({ cutTo: to.value === "new" ? "new" : "nothing" });
      },
    },
    h("option", { value: "new" }, "to a new label"),
    h("option", { value: "nothing" }, "away"),
  );
  return [
    slices,
    row(
      "Cut",
      toolButton(actions, "cut", "Split", "Draw a line across the mask, then click the part that goes (K)"),
      to,
    ),
  ];
}

function row(word: string, ...children: (Node | string)[]): HTMLElement {
  return h("div", { class: "edit-row" }, h("span", { class: "edit-word" }, word), ...children);
}

function button(text: string, title: string, onclick: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "button small", title, onclick }, text);
}

function toolButton(actions: Actions, tool: EditTool, text: string, title: string): HTMLButtonElement {
  const element = button(text, title, () => {
    actions.setTool(actions.store.state.tool === tool ? "navigate" : tool);
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
