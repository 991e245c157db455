/**
 * Segmend in OHIF, without a build: OHIF's `app-config.js` names this file among its extensions, and OHIF imports it.
 *
 *     extensions: ["https://segmend.example.org/ohif/segmend.js"],
 *
 * The panel stands on the right of every mode. OHIF gives no React to what was not built with it; its elements are plain
 * objects, so the one that is needed is made by hand, of the kind that the page uses.
 */

import { phrases } from "../phrases";
import { panelOf } from "./panel";
import { Server } from "./server";
import type { Managers } from "./viewer";
import { Work } from "./work";

const ID = "segmend";
const PANEL = `${ID}.panelModule.${ID}`;
const SIDE = "right";
const ELEMENT = "react.element"; // React 18's

let work: Work | null = null;
let panel: HTMLElement | null = null;
let entered = false;

/** Return the symbol that marks the elements of the page's React, from what it has drawn already. */
function elementKind(): symbol {
  const root = document.getElementById("root") as unknown as Record<string, unknown> | null;
  const key = Object.keys(root ?? {}).find((name) => name.startsWith("__reactContainer$"));
  let fiber = key === undefined ? null : (root?.[key] as Fiber | null);
  for (let depth = 0; fiber && depth < 100; depth += 1) {
    const kind = fiber.memoizedProps?.children?.$$typeof;
    if (typeof kind === "symbol" && String(kind.description).endsWith("element")) return kind;
    fiber = fiber.child;
  }
  return Symbol.for(ELEMENT);
}

interface Fiber {
  readonly child: Fiber | null;
  readonly memoizedProps: { readonly children?: { readonly $$typeof?: unknown } } | null;
}

/** The component of the panel: a place into which its element is put. */
function Place(): unknown {
  const kind = elementKind();
  const ref = (place: HTMLElement | null): void => {
    if (place !== null && panel !== null) place.append(panel);
  };
  const props = { style: { height: "100%" } };
  const inProps = kind !== Symbol.for(ELEMENT); // React 19 takes the ref from there
  return {
    $$typeof: kind,
    type: "div",
    key: null,
    ref: inProps ? null : ref,
    props: inProps ? { ...props, ref } : props,
    _owner: null,
  };
}

/** Have the panel among those of the mode, whatever else sets them. */
function stand({ servicesManager }: Managers): void {
  const { panelService } = servicesManager.services;
  if (entered && !panelService.getPanels(SIDE).some(({ name }) => name === ID)) panelService.addPanel(SIDE, PANEL);
}

export default {
  id: ID,

  preRegistration(managers: Managers): void {
    const own: string = import.meta.url; // apart, for the bundler takes the two together for a file of its own
    const base = new URL("..", own).href;
    work = new Work(new Server(base), managers);
    panel = panelOf(work);
    const { panelService } = managers.servicesManager.services;
    panelService.subscribe(panelService.EVENTS.PANELS_CHANGED, () => {
      queueMicrotask(() => {
        stand(managers);
      });
    });
  },

  onModeEnter(managers: Managers): void {
    entered = true;
    work?.enter();
    stand(managers);
  },

  onModeExit(): void {
    entered = false;
    work?.leave();
  },

  getPanelModule(): unknown[] {
    return [
      {
        name: ID,
        iconName: "tab-segmentation",
        iconLabel: phrases.ohif.title,
        label: phrases.ohif.title,
        component: Place,
      },
    ];
  },
};
