/** The upright bar of tools: what the left button does, and with which sign. */

import type { Actions } from "../actions";
import { h, iconButton, type IconName, set } from "../dom";
import { phrases } from "../phrases";
import { rove } from "../roving";
import { isPromptTool, type Tool } from "../state";

const SAY = phrases.tools;
const TOOLS: readonly (readonly [Tool, IconName, string, string, string])[] = [
  ["navigate", "navigate", SAY.navigate, SAY.navigateWord, "V"],
  ["click", "click", SAY.click, SAY.clickWord, "C"],
  ["stroke", "stroke", SAY.stroke, SAY.strokeWord, "S"],
  ["box", "box", SAY.box, SAY.boxWord, "B"],
  ["lasso", "lasso", SAY.lasso, SAY.lassoWord, "L"],
  ["extremes", "extremes", SAY.extremes, SAY.extremesWord, "E"],
  ["paint", "paint", SAY.paint, SAY.paintWord, "P"],
  ["erase", "erase", SAY.erase, SAY.eraseWord, "Q"],
];

export function rail(actions: Actions): HTMLElement {
  const store = actions.store;
  const buttons = TOOLS.map(([tool, name, title, word, key]) => {
    const button = iconButton(
      name,
      title,
      () => {
        actions.tools.setTool(tool);
      },
      key,
    );
    button.dataset.tool = tool;
    button.append(h("span", { class: "rail-word", "aria-hidden": "true" }, word));
    return button;
  });
  const sign = (positive: boolean, name: IconName, title: string): HTMLButtonElement => {
    const button = iconButton(
      name,
      title,
      () => {
        store.set({ positive });
      },
      SAY.signKeys,
    );
    button.classList.add("sign", positive ? "positive" : "negative");
    return button;
  };
  const plus = sign(true, "plus", SAY.plus);
  const minus = sign(false, "minus", SAY.minus);
  const radius = h("input", {
    type: "range",
    min: 1,
    max: 40,
    "aria-label": SAY.radius,
    oninput: () => {
      actions.tools.setRadius(Number(radius.value));
    },
  });
  const amount = h("output", { class: "rail-amount" });
  const size = h("div", { class: "rail-size" }, radius, amount);
  const tools = h(
    "div",
    { class: "rail-bar", role: "toolbar", "aria-label": SAY.title, "aria-orientation": "vertical" },
    ...buttons,
    h("hr"),
    h("div", { class: "signs", role: "group", "aria-label": SAY.signs }, plus, minus),
  );
  rove(tools);
  const bar = h("div", { class: "rail-bar" }, tools, h("hr"), size);
  const element = h("section", { class: "rail", "aria-label": SAY.title }, bar);
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
