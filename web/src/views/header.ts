/** The bar on top: which case, which method, undo and redo, layout, download, help. */

import type { Actions } from "../actions";
import type { Finetune, Case, Method, Slide } from "../api";
import { h, icon, iconButton, refill, set } from "../dom";
import { downloadMenu } from "../export";
import { showHelp } from "../help";
import { SHORTCUTS } from "../keys";
import { groupsOf } from "../methods";
import { fill, isolated, nameOfPrompt, phrases } from "../phrases";
import { keyNames } from "../shortcut";
import { methodsFor, waitingWords } from "../state";
import { significant } from "../words";
import { toggleLayout } from "./layout";
import { peopleGroup } from "./people";
import { showMethods } from "./methods";
import { showSettings } from "./settings";

const SAY = phrases.header;

export function header(actions: Actions): HTMLElement {
  const store = actions.store;
  const cases = iconButton("panel", SAY.cases, () => {
    store.set({ sidebar: !store.state.sidebar });
  });
  const name = h("h1", { class: "case-name", dir: "auto" });
  const details = h("span", { class: "case-details", dir: "ltr" });
  const method = h("select", {
    id: "method",
    class: "select",
    "aria-label": SAY.method, // the word beside it goes where there is no room
    title: SAY.methodTitle,
    onchange: () => {
      actions.tools.setMethod(method.value);
      method.blur();
    },
  });
  const finetune = h(
    "select",
    {
      id: "finetune",
      class: "select",
      title: SAY.finetuneTitle,
      "aria-label": SAY.finetuning,
      onchange: () => {
        actions.tools.setFinetune(finetune.value as Finetune);
        finetune.blur();
      },
    },
    h("option", { value: "auto" }, SAY.finetuneAuto),
    h("option", { value: "on" }, SAY.finetuneOn),
    h("option", { value: "off" }, SAY.finetuneOff),
  );
  const about = iconButton("help", SAY.methods, () => {
    showMethods(actions);
  });
  const finetuning = h("div", { class: "header-group header-finetune", hidden: true }, finetune);
  const undo = iconButton(
    "undo",
    SAY.undo,
    () => {
      actions.history.undo();
    },
    keyNames("Ctrl+Z"),
  );
  const redo = iconButton(
    "redo",
    SAY.redo,
    () => {
      actions.history.redo();
    },
    keyNames("Ctrl+Shift+Z"),
  );
  const layout = iconButton(
    "grid",
    SAY.layout,
    () => {
      toggleLayout(actions);
    },
    "F",
  );
  const help = iconButton(
    "help",
    SAY.help,
    () => {
      showHelp(actions, SHORTCUTS);
    },
    "?",
  );
  const settings = iconButton("settings", SAY.settings, () => {
    showSettings(actions);
  });
  const status = h("span", { class: "status-dot", role: "img" });
  const download = downloadMenu(actions);
  const word = h("label", { class: "method-label", for: "method" }, SAY.method);
  const element = h(
    "header",
    { class: "header" },
    cases,
    h("a", { class: "brand", href: "./", "aria-label": phrases.common.start }, mark(), h("span", {}, "Segmend")),
    h("div", { class: "case-title" }, name, details),
    h("div", { class: "header-group header-method" }, word, method, about),
    finetuning,
    h("div", { class: "header-group header-steps" }, undo, redo, layout),
    download,
    peopleGroup(actions),
    h("div", { class: "header-group" }, settings, help, status),
  );
  store.on(["opened"], ({ opened }) => {
    name.textContent = opened?.case.name ?? "";
    details.textContent =
      opened === null ? "" : opened.onSlide === null ? caseTitle(opened.case) : slideTitle(opened.onSlide.tiles.slide);
    name.title = opened?.case.name ?? "";
    name.hidden = opened === null; // the start page has a heading of its own
    layout.hidden = opened === null || opened.planes.length === 1;
  });
  store.on(["opened", "methods", "method"], (state) => {
    const flat = state.opened?.volume.shape[0] === 1;
    const usable = state.opened === null ? state.methods : methodsFor(state.methods, flat, null);
    const option = ({ id, title, prompts, good_for }: Method): HTMLElement =>
      h(
        "option",
        {
          value: id,
          lang: "en",
          title: good_for || fill(SAY.takes, { prompts: prompts.map(nameOfPrompt).join(phrases.common.comma) }),
          selected: id === state.method,
        },
        title,
      );
    refill(
      method,
      groupsOf(usable).flatMap(([label, some]) =>
        label === "" ? some.map(option) : [h("optgroup", { label }, ...some.map(option))],
      ),
    );
    if (usable.length === 0) method.append(h("option", { value: "" }, SAY.noMethod));
    method.value = state.method;
    method.disabled = usable.length < 2;
    method.hidden = word.hidden = state.opened === null; // a method answers marks
  });
  store.on(["opened", "methods", "method", "finetune"], (state) => {
    const card = state.methods.find(({ id }) => id === state.method);
    finetuning.hidden = state.opened === null || !(card?.finetunes ?? false);
    finetune.value = state.finetune;
  });
  store.on(["done", "undone", "events", "opened", "connection", "rulers"], () => {
    undo.disabled = !actions.history.canUndo();
    redo.disabled = !actions.history.canRedo();
  });
  store.on(["connection", "unsent"], ({ connection, unsent }) => {
    const waiting = waitingWords(unsent);
    const text = {
      none: SAY.noCase,
      live: waiting === "" ? SAY.saved : fill(SAY.saving, { waiting }),
      lost: waiting === "" ? SAY.lostSaved : fill(SAY.lostSaving, { waiting }),
    }[connection];
    status.dataset.connection = connection;
    status.dataset.waiting = String(unsent.length > 0);
    set(status, "aria-label", text);
    status.title = text;
  });
  return element;
}

type Sized = Pick<Case, "shape" | "spacing" | "modality" | "slide">;

/** Return the size of a slide, and of its pixels where that is known. */
export function slideTitle({ width, height, um }: Slide): string {
  const size = um === null ? [] : [isolated(`${significant(um[1], 3)} µm`)];
  return [phrases.slide.title, isolated(`${width} × ${height}`), ...size].join("  ·  ");
}

/** Return the kind of image and its size in voxels. */
export function kindAndSize({ shape: [z, y, x], modality, slide }: Sized): string {
  if (slide) return phrases.slide.title; // its own image is a small picture of all of it
  const kind = modality === "XC" ? phrases.planes.photograph : modality; // XC is DICOM's external camera
  return [kind, isolated(z === 1 ? `${x} × ${y}` : `${x} × ${y} × ${z}`)].filter((part) => part !== "").join("  ·  ");
}

/** Return the same with the spacing, where it is known. */
export function caseTitle(one: Sized): string {
  const z = one.shape[0];
  const mm = one.spacing.map((value) => significant(value, 3));
  const spacing = z === 1 ? `${mm[2]} × ${mm[1]} mm` : `${mm[2]} × ${mm[1]} × ${mm[0]} mm`;
  const photo = z === 1 && one.spacing.every((value) => value === 1);
  return photo ? kindAndSize(one) : `${kindAndSize(one)}  ·  ${spacing}`;
}

/** The sign of Segmend: a round form, half of it mended. */
export function mark(): SVGSVGElement {
  const svg = icon("click");
  svg.setAttribute("class", "brand-mark");
  svg.innerHTML =
    '<path d="M12 2.500a9.500 9.500 0 0 0 0 19" fill="none" stroke-dasharray="2.600 2.800"/>' +
    '<path d="M12 2.500a9.500 9.500 0 0 1 0 19z" fill="currentColor" stroke-linejoin="round"/>';
  return svg;
}
