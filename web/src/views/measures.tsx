/** What is measured: of every label, live, and by hand with a ruler, an angle or a region. */

import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { h, set } from "../dom";
import { titleOf } from "../labels";
import { fill, phrases } from "../phrases";
import { rove } from "../roving";
import { isSized, RULERS, type Ruler, type RulerKind, words } from "../rulers";
import { type Measure, seriesOf, type State } from "../state";
import { fixed, short } from "../words";
import { fieldOf } from "./elements";

const SAY = phrases.measures;
const NAMES: Readonly<Record<RulerKind, string>> = { ruler: SAY.ruler, angle: SAY.angle, ellipse: SAY.ellipse };
const TITLES: Readonly<Record<RulerKind, string>> = {
  ruler: SAY.rulerTitle,
  angle: SAY.angleTitle,
  ellipse: SAY.ellipseTitle,
};

const NO_BREAK = "\u00a0";

export function measuresPanel(actions: Actions): HTMLElement {
  const { store } = actions;
  const body = h("div", {});
  const element = h("details", { class: "section measures" }, h("summary", {}, h("h2", {}, SAY.title)), body);
  render(<Measures actions={actions} />, body);
  element.addEventListener("toggle", () => {
    store.set({ measuresShown: element.open });
  });
  store.on(["opened", "measuresShown"], ({ opened, measuresShown }) => {
    set(element, "hidden", opened === null);
    element.open = measuresShown;
  });
  return element;
}

function Measures({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const fields = useMemo(
    () => ({
      opened: fieldOf(store, "opened"),
      labels: fieldOf(store, "labels"),
      measured: fieldOf(store, "measured"),
      rulers: fieldOf(store, "rulers"),
      tool: fieldOf(store, "tool"),
      image: fieldOf(store, "image"),
    }),
    [],
  );
  const opened = fields.opened.value;
  if (opened === null) return null;
  const scale = { sized: isSized(opened.volume), ct: opened.statistics.ct };
  const measured = fields.measured.value;
  return (
    <>
      <ul class="measure-list" aria-label={SAY.list}>
        {fields.labels.value.map((label) => {
          const found = measured?.labels.find(({ value }) => value === label.value);
          return (
            <li key={label.value}>
              <span class="measure-dot" style={{ background: `rgb(${label.colour.join()})` }} aria-hidden="true" />
              <span class="measure-name" dir="auto">
                {titleOf(label)}
              </span>
              <span class="measure-values" dir="auto">
                {found === undefined ? "…" : sentences(found, measured?.unit ?? "mm", scale.ct, fields.image.value)}
              </span>
            </li>
          );
        })}
      </ul>
      <div class="presets" role="group" aria-label={SAY.byHand} ref={roveOnce}>
        {RULERS.map((kind) => (
          <button
            type="button"
            class="chip"
            key={kind}
            title={`${TITLES[kind]} (M)`}
            aria-pressed={String(fields.tool.value === kind) as "true" | "false"}
            onClick={() => {
              actions.tools.setTool(fields.tool.value === kind ? "navigate" : kind);
            }}
          >
            {NAMES[kind]}
          </button>
        ))}
      </div>
      <ul class="ruler-list" aria-label={SAY.measured}>
        {fields.rulers.value.map((ruler, i) => (
          <li key={i}>
            <button
              type="button"
              class="link"
              title={SAY.show}
              onClick={() => {
                actions.views.showMark(middleOf(ruler));
              }}
            >
              {NAMES[ruler.kind]}
            </button>
            <span class="measure-values" dir="auto">
              {words(ruler, (seriesOf(opened, fields.image.value) ?? opened).volume, scale).join(", ")}
            </span>
            <button
              type="button"
              class="icon-button small"
              aria-label={fill(SAY.remove, { kind: NAMES[ruler.kind], n: i + 1 })}
              onClick={() => {
                actions.history.removeRuler(ruler);
              }}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

const roving = new WeakSet<HTMLElement>();

/** Make a group of buttons one stop of the Tab key, when it is first there. */
function roveOnce(group: HTMLElement | null): void {
  if (group === null || roving.has(group)) return;
  roving.add(group);
  rove(group);
}

function middleOf({ points }: Ruler): readonly [number, number, number] {
  const mean = (axis: 0 | 1 | 2): number =>
    Math.round(points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  return [mean(0), mean(1), mean(2)];
}

/** Return what is measured of a label, as it is read out. */
export function sentences(
  { voxels, volume_ml, area_mm2, long_axis, short_axis, means, deviations }: Measure,
  unit: "mm" | "px",
  ct: boolean,
  image: State["image"],
): string {
  if (voxels === 0) return SAY.empty;
  const size =
    volume_ml !== null ? `${short(volume_ml)} ml` : area_mm2 !== null ? `${short(area_mm2)} mm²` : `${voxels} px`;
  const axes =
    long_axis === null || short_axis === null ? "" : `${fixed(long_axis, 1)} × ${fixed(short_axis, 1)} ${unit}`;
  const at = Math.min(image, means.length - 1);
  const values =
    means.length === 3 && volume_ml === null ? "" : `${short(means[at])} ± ${short(deviations[at])}${ct ? " HU" : ""}`;
  const parts = [size, axes, values].filter((part) => part !== "");
  return parts.map((part) => part.replaceAll(" ", NO_BREAK)).join(" · "); // lines break between them
}
