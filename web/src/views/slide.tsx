/** Of a slide: where one is on it and how large it is seen, what to do to mark there, and what is marked on all of it. */

import "../slide.css";
import { render } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Actions } from "../actions";
import type { SlidePane } from "../actions/slides";
import * as api from "../api";
import { h, set } from "../dom";
import { panView, zoomView } from "../geometry";
import { fill, isolated, phrases, plural } from "../phrases";
import { keyNames } from "../shortcut";
import { areaOf, areaSeen, magnification, seenAround, viewAs } from "../slide";
import type { State } from "../state";
import { reportErrors } from "../toasts";
import { short, significant } from "../words";
import { fieldOf } from "./elements";

const SAY = phrases.slide;
const MAP = 148; // CSS pixels of the longer side of the small picture of the slide
const STEP = 0.25; // of what is seen, that an arrow key moves
const ZOOM = 1.5;
const SETTLED_MS = 600; // after the last move, before what is seen is opened to be drawn in
const REFRESH_MS = 700; // after the last change of the mask
// With these tools a mark is drawn, so the place must be there before; a click can wait for it.
const DRAWING: readonly State["tool"][] = ["stroke", "box", "lasso", "extremes", "paint", "erase", "cut", "threshold"];

/** What lies over the picture of a slide. */
export function slideBar(actions: Actions): HTMLElement {
  const element = h("div", { class: "slide-over" });
  render(<Over actions={actions} />, element);
  followSlide(actions);
  return element;
}

function Over({ actions }: { readonly actions: Actions }) {
  const { store } = actions;
  const fields = useMemo(
    () => ({
      opened: fieldOf(store, "opened"),
      views: fieldOf(store, "views"),
      tiled: fieldOf(store, "tiled"),
      slide: fieldOf(store, "slide"),
    }),
    [],
  );
  const onSlide = fields.opened.value?.onSlide ?? null;
  const drawn = [fields.views.value, fields.tiled.value]; // again when one of these changes
  const pane = actions.slides.slidePane();
  if (onSlide === null || pane === null || drawn.length === 0) return null;
  const { um } = onSlide.tiles.slide;
  const perPixel = um === null ? null : um[1] / pane.seen.scaleX;
  const suited = pane.suits();
  return (
    <>
      <div class="slide-where" role="group" aria-label={SAY.where}>
        {!suited && (
          <button
            type="button"
            class="button primary slide-mark"
            onClick={() => {
              reportErrors(() => actions.slides.markHere(pane));
            }}
          >
            {SAY.markHere} <kbd>{keyNames("Enter")}</kbd>
          </button>
        )}
        <p class="slide-scale" dir="ltr">
          {perPixel === null ? "" : `${magnification(perPixel)}  ·  ${short(perPixel)} µm/px`}
        </p>
        <SlideMap pane={pane} slide={fields.slide.value ?? onSlide.tiles.slide} />
        <div class="slide-zoom">
          {(
            [
              ["+", SAY.closer, ZOOM],
              ["−", SAY.farther, 1 / ZOOM],
            ] as const
          ).map(([sign, words, factor]) => (
            <button
              type="button"
              class="icon-button small"
              key={sign}
              aria-label={words}
              title={words}
              onClick={() => {
                const middle = [pane.size[0] / 2, pane.size[1] / 2] as const;
                pane.view = zoomView(pane.view, pane.projection, middle, pane.size, factor, pane.zooms);
              }}
            >
              {sign}
            </button>
          ))}
          <button
            type="button"
            class="button small"
            onClick={() => {
              actions.slides.showWhole();
            }}
          >
            {SAY.whole}
          </button>
        </div>
      </div>
    </>
  );
}

interface MapProps {
  readonly pane: SlidePane;
  readonly slide: api.Slide;
}

/** The whole slide, small, with what is seen of it and where it was marked; a press goes there. */
function SlideMap({ pane, slide }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scale = MAP / Math.max(slide.width, slide.height);
  const size = [Math.max(24, Math.round(slide.width * scale)), Math.max(24, Math.round(slide.height * scale))] as const;
  useEffect(() => {
    if (canvas.current !== null) drawMap(canvas.current, pane, slide, size);
  });
  const go = (event: PointerEvent): void => {
    if (event.buttons !== 1 || canvas.current === null) return;
    const box = canvas.current.getBoundingClientRect();
    const place = [
      ((event.clientX - box.left) / box.width) * slide.width,
      ((event.clientY - box.top) / box.height) * slide.height,
    ] as const;
    const { onSlide } = pane.opened;
    if (onSlide === null) return;
    const fit = pane.projection.scaleX / pane.view.zoom;
    const seen = seenAround(place, pane.seen.scaleX, pane.size);
    pane.view = viewAs(seen, pane.size, onSlide.field, fit);
  };
  return (
    <canvas
      ref={canvas}
      class="slide-map"
      tabIndex={0}
      role="application"
      aria-label={SAY.map}
      style={{ width: `${size[0]}px`, height: `${size[1]}px` }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        go(event);
      }}
      onPointerMove={go}
      onKeyDown={(event) => {
        const way = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (way === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        const [width, height] = pane.size;
        pane.view = panView(pane.view, pane.projection, way[0] * STEP * width, way[1] * STEP * height);
      }}
    />
  );
}

function drawMap(
  canvas: HTMLCanvasElement,
  pane: SlidePane,
  slide: api.Slide,
  [width, height]: readonly [number, number],
): void {
  const { onSlide } = pane.opened;
  if (onSlide === null) return;
  const density = window.devicePixelRatio || 1;
  canvas.width = width * density;
  canvas.height = height * density;
  const context = canvas.getContext("2d")!;
  context.setTransform(density, 0, 0, density, 0, 0);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  const scale = width / slide.width;
  onSlide.tiles.drawWhole(context, { scaleX: scale, scaleY: height / slide.height, offsetX: 0, offsetY: 0 });
  context.fillStyle = "#0a6658";
  for (const field of slide.fields.filter(({ marks }) => marks > 0)) {
    const { left, top, right, bottom } = areaOf(field);
    context.beginPath();
    context.arc(((left + right) / 2) * scale, ((top + bottom) / 2) * scale, 2.5, 0, 7);
    context.fill();
  }
  const area = areaSeen(slide, pane.seen, pane.size);
  if (area === null) return;
  const [w, h] = [(area.right - area.left) * scale, (area.bottom - area.top) * scale];
  context.lineWidth = 2;
  context.strokeStyle = "#c02f1d";
  const side = Math.max(5, Math.max(w, h)); // to be found, however little is seen
  const [cx, cy] = [((area.left + area.right) / 2) * scale, ((area.top + area.bottom) / 2) * scale];
  const [shownWidth, shownHeight] = side > Math.max(w, h) ? [side, side] : [w, h];
  context.strokeRect(cx - shownWidth / 2, cy - shownHeight / 2, shownWidth, shownHeight);
}

/** What is marked on all of a slide, and its mask as a file. */
export function slidePanel(actions: Actions): HTMLElement {
  const body = h("div", {});
  const element = h(
    "details",
    { class: "section measures slide-panel", open: true },
    h("summary", {}, h("h2", {}, SAY.title)),
    body,
  );
  render(<Totals actions={actions} />, body);
  actions.store.on(["slide"], ({ slide }) => {
    set(element, "hidden", slide === null);
  });
  return element;
}

function Totals({ actions }: { readonly actions: Actions }) {
  const field = useMemo(() => fieldOf(actions.store, "slide"), []);
  const slide = field.value;
  if (slide === null) return null;
  const { width, height, um, labels, fields } = slide;
  const marked = fields.filter(({ marks }) => marks > 0).length;
  const size = isolated(`${width} × ${height}`);
  return (
    <>
      <p class="hint">
        {um === null ? size : `${size}  ·  ${isolated(`${short(um[1])} µm`)}`}
        {"  ·  "}
        {marked === 0 ? SAY.unmarked : plural(SAY.fields, marked)}
      </p>
      <ul class="measure-list" aria-label={SAY.areas}>
        {labels.map(({ value, name, colour, pixels, area_mm2 }) => (
          <li key={value}>
            <span class="measure-dot" style={{ background: `rgb(${colour.join()})` }} aria-hidden="true" />
            <span class="measure-name" dir="auto">
              {name}
            </span>
            <span class="measure-values" dir="auto">
              {isolated(area_mm2 === null ? `${pixels} px` : areaWords(area_mm2))}
            </span>
          </li>
        ))}
      </ul>
      <div class="presets" role="group" aria-label={SAY.files}>
        {(
          [
            [".geojson", SAY.outlines],
            [".tif", SAY.labelMap],
          ] as const
        ).map(([suffix, words]) => (
          <a
            class="button small"
            key={suffix}
            href={api.slideExport(slide.case, suffix)}
            download=""
            title={fill(SAY.save, { suffix })}
          >
            {words}
          </a>
        ))}
      </div>
    </>
  );
}

/** Return an area as people say it: of a cell in µm², of a tumour in mm². */
const areaWords = (mm2: number): string =>
  mm2 === 0 || mm2 >= 0.01 ? `${significant(mm2, 3)} mm²` : `${significant(mm2 * 1e6, 3)} µm²`;

/** Keep what is told of a slide up to date, and open what is seen when somebody is about to draw there. */
function followSlide(actions: Actions): void {
  const { store } = actions;
  let asking: ReturnType<typeof setTimeout> | undefined;
  let opening: ReturnType<typeof setTimeout> | undefined;
  store.on(["maskVersion", "pending", "unsent", "labels"], ({ opened, pending, unsent, connection }) => {
    clearTimeout(asking);
    if (opened === null || opened.onSlide === null || connection !== "live" || pending.length + unsent.length > 0)
      return;
    asking = setTimeout(() => {
      actions.slides.refresh().catch(() => undefined); // the banner says that the connection is lost
    }, REFRESH_MS);
  });
  store.on(["views", "tool"], ({ opened, tool }) => {
    clearTimeout(opening);
    if (opened === null || opened.onSlide === null || !DRAWING.includes(tool)) return;
    opening = setTimeout(() => {
      const pane = actions.slides.slidePane();
      if (pane === null || pane.suits() || actions.views.pressing !== undefined) return;
      reportErrors(() => actions.slides.markHere(pane));
    }, SETTLED_MS);
  });
  window.addEventListener("keydown", (event) => {
    const pane = actions.slides.slidePane();
    const { target } = event;
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.altKey || pane === null) return;
    if (
      target instanceof HTMLInputElement ||
      target instanceof HTMLButtonElement ||
      target instanceof HTMLSelectElement
    )
      return;
    if (document.querySelector("dialog[open]") !== null || pane.opened.onSlide === null || pane.suits()) return;
    event.preventDefault();
    reportErrors(() => actions.slides.markHere(pane));
  });
}
