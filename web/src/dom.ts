/** Building elements: `h("button", { class: "primary", onclick: save }, "Save")`. */

type Child = Node | string | number | null | undefined | false;
type Attributes = Readonly<Record<string, unknown>>;

/** Return an element; functions become listeners, true an empty attribute, null and false none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "value" && "value" in element) element.value = String(value);
    else set(element, name, value);
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/** Set an attribute; false, null and undefined take it away. */
export function set(element: Element, name: string, value: unknown): void {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : `${value as string | number}`);
}

const SVG = "http://www.w3.org/2000/svg";

/** Drawings on a 24 x 24 grid, stroked in the colour of the text. */
export const ICONS = {
  navigate: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  click: "M12 3v4M12 17v4M3 12h4M17 12h4M12 12m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0",
  stroke: "M4 19c3 1 4-1 4-3s2-3 4-1l7-8a2.1 2.1 0 0 0-3-3l-8 7M8 16l4-1",
  box: "M5 5h14v14H5z",
  lasso:
    "M12 5c5 0 8 2.200 8 5s-3 5-8 5c-1.800 0-3.300-.3-4.600-.8M7.400 14.200C5.300 13.300 4 11.800 4 10c0-2.800 3-5 8-5M7.400 14.200c-1.600.3-2.400 1.300-1.900 2.300s2 .8 2.100-.4-.6-2-2.100-1.600M6.500 17c0 2 1 3 3 3",
  extremes:
    "M12 3.200v.01M12 20.800v.01M3.200 12h.01M20.800 12h.01M12 6.500c3 0 5.500 2.500 5.500 5.500s-2.500 5.500-5.500 5.500-5.500-2.500-5.500-5.500 2.500-5.500 5.500-5.500",
  paint: "M14 4l6 6-8 8H6v-6zM11 7l6 6M4 21h16",
  erase: "M9 19l-5-5 9-9 7 7-7 7zM9 19h11M8.500 9.500l6 6",
  cut: "M6 6m-2.500 0a2.500 2.500 0 1 0 5 0a2.500 2.500 0 1 0-5 0M6 18m-2.500 0a2.500 2.500 0 1 0 5 0a2.500 2.500 0 1 0-5 0M8 7.500L20 17M8 16.500L20 7",
  island: "M9 14m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M17 7m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  threshold: "M3 18c3 0 4.500-12 9-12s6 12 9 12M3 12h18",
  ruler: "M4 15L15 4l5 5L9 20zM8 11l2 2M11 8l2 2M14 5l2 2",
  angle: "M20 19H4L15 5M10 19a6 6 0 0 0-2.200-4.600",
  ellipse: "M12 12m-9 0a9 6 0 1 0 18 0a9 6 0 1 0-18 0",
  window: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18M16 8h3M16 12h4M16 16h3",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0-6 6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.01M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0",
  close: "M6 6l12 12M18 6L6 18",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  admin:
    "M12 3l7.500 2.500v6c0 4.500-3 7.800-7.500 9.500c-4.500-1.700-7.500-5-7.500-9.500v-6zM9 12l2.200 2.200L15.500 10",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z",
  unlock: "M7 11V8a5 5 0 0 1 9.6-2M6 11h12v9H6z",
  link: "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1",
  people:
    "M9 11a3.500 3.500 0 1 0 0-7a3.500 3.500 0 0 0 0 7zM2.500 20c0-3.500 3-6 6.500-6s6.500 2.500 6.500 6M16 4.500a3.500 3.500 0 0 1 0 6.500M18 14.500c2 .9 3.500 2.900 3.500 5.500",
  readers: "M3 5h8v14H3zM13 5h8v14h-8zM5.500 9h3M5.500 12h3M15.500 9h3M15.500 12h3M15.500 15h3",
  folder: "M3 6h6l2 2h10v11H3z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  grid: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  single: "M4 4h16v16H4z",
  expand: "M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5",
  panel: "M4 5h16v14H4zM9 5v14",
  eye: "M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12zM12 12m-2.8 0a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0",
  hidden: "M3 3l18 18M10 6a9 9 0 0 1 12 6 14 14 0 0 1-3 4M6 7a14 14 0 0 0-4 5s4 6.500 10 6.500a9 9 0 0 0 4-1",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  warning: "M12 4L2.500 20h19zM12 10v5M12 17.500v.01",
  settings: "M4 8h9M17 8h3M4 16h3M11 16h9M15 8m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M9 16m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  check: "M5 12.500l4.500 4.500L19 7",
  grip: "M9 6v.01M15 6v.01M9 12v.01M15 12v.01M9 18v.01M15 18v.01",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
} as const;

export type IconName = keyof typeof ICONS;

/** Return a decorative icon; the button round it carries the name. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of [
    ["viewBox", "0 0 24 24"],
    ["class", "icon"],
    ["aria-hidden", "true"],
  ] as const) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Return a button that shows an icon and says `label`, with its shortcut in the tooltip. */
export function iconButton(name: IconName, label: string, onclick: () => void, shortcut = ""): HTMLButtonElement {
  const title = shortcut === "" ? label : `${label} (${shortcut})`;
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title, onclick }, icon(name));
}

/** Replace what an element holds, keeping the focus on the element with the same `data-key`. */
export function refill(parent: HTMLElement, children: Child[]): void {
  const focused = document.activeElement;
  const key = focused instanceof HTMLElement && parent.contains(focused) ? focused.dataset.key : undefined;
  parent.replaceChildren(...children.filter((child) => child instanceof Node || typeof child === "string"));
  if (key !== undefined) parent.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
