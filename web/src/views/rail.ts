/** The upright bar of tools: what the left button does, and with which sign. */

import type { Actions } from "../actions";
import { h, iconButton, type IconName, set } from "../dom";
import { isPromptTool, type Tool } from "../state";

const TOOLS: readonly (readonly [Tool, IconName, string, string])[] = [
  ["navigate", "navigate", "Move and look", "V"],
  ["click", "click", "Click", "C"],
  ["stroke", "stroke", "Stroke", "S"],
  ["box", "box", "Box", "B"],
  ["lasso", "lasso", "Lasso", "L"],
  ["extremes", "extremes", "Ends of the object", "E"],
  ["paint", "paint", "Paint", "P"],
  ["erase", "erase", "Erase", "Q"],
];

export function rail(actions: Actions): HTMLElement {
  const store = actions.store;
  const buttons = TOOLS.map(([tool, name, title, key]) => {
    const button = iconButton(
      name,
      title,
      () => {
        actions.setTool(tool);
      },
      key,
    );
    button.dataset.tool = tool;
    button.append(h("span", { class: "rail-word", "aria-hidden": "true" }, title.split(" ")[0]));
    return button;
  });
  const sign = (positive: boolean, name: IconName, title: string): HTMLButtonElement => {
    const button = iconButton(
      name,
      title,
      () => {
        store.set({ positive });
      },
      "X turns over, Shift for one mark",
    );
    button.classList.add("sign", positive ? "positive" : "negative");
    return button;
  };
  const plus = sign(true, "plus", "Mark the object");
  const minus = sign(false, "minus", "Mark what is not the object");
  const radius = h("input", {
    type: "range",
    min: 1,
    max: 40,
    "aria-label": "Radius of strokes and brushes in voxels",
    oninput: () => {
      actions.setRadius(Number(radius.value));
    },
  });
  const amount = h("output", { class: "rail-amount" });
  const size = h("div", { class: "rail-size" }, radius, amount);
  const element = h(
    "div",
    { class: "rail", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" },
    ...buttons,
    h("hr"),
    h("div", { class: "signs", role: "group", "aria-label": "Sign of marks" }, plus, minus),
    h("hr"),
    size,
  );
  store.on(["tool", "method", "methods", "positive", "radius", "opened"], (state) => {
    const card = state.methods.find(({ id }) => id === state.method);
    for (const button of buttons) {
      const tool = button.dataset.tool as Tool;
      const takes = !isPromptTool(tool) || (card?.prompts.includes(tool) ?? false);
      set(button, "aria-pressed", String(state.tool === tool));
      button.disabled = state.opened === null || !takes;
    }
    set(plus, "aria-pressed", String(state.positive));
    set(minus, "aria-pressed", String(!state.positive));
    const signed = state.opened !== null && ["click", "stroke", "lasso"].includes(state.tool);
    plus.disabled = minus.disabled = !signed;
    radius.value = String(state.radius);
    radius.disabled = state.opened === null;
    amount.value = String(state.radius);
    size.style.visibility = ["stroke", "paint", "erase"].includes(state.tool) ? "visible" : "hidden";
  });
  return element;
}
