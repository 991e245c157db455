/** The tour, a card over the picture that goes on when a thing was tried; and the robot that one watches. */

import "../help.css";
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { useMemo } from "preact/hooks";
import type { Actions } from "../actions";
import { h } from "../dom";
import { fill, phrases } from "../phrases";
import { curve, robotWords } from "../robot";
import type { State } from "../state";
import { reportErrors, toast } from "../toasts";
import { STOPS } from "../tour";
import { fixed } from "../words";
import { fieldOf } from "./elements";

const SAY = phrases.tour;
const WIDTH = 150; // CSS pixels of the curve
const HEIGHT = 40;
const at = signal<number | null>(null); // the stop of the tour; null: no tour

/** Open a phantom, or the first case of the list, and begin the tour. */
export function startTour(actions: Actions): void {
  reportErrors(async () => {
    const { opened, cases } = actions.store.state;
    const found = cases?.find(({ name }) => name.toLowerCase().includes("phantom")) ?? cases?.at(0);
    if (opened === null && found === undefined) {
      toast(SAY.noCase);
      return;
    }
    if (opened === null && found !== undefined) await actions.cases.open(found.id);
    at.value = 0;
  });
}

export function tourCard(actions: Actions): HTMLElement {
  const element = h("div", { class: "tour-place" });
  const { store } = actions;
  render(<Card />, element);
  let before: State = store.state;
  effect(() => {
    if (at.value !== null) before = store.state; // what is tried at a stop is tried from there on
  });
  store.on(["events", "done", "undone", "pending", "unsent", "labels", "crosshair", "opened"], (state) => {
    if (at.value === null) return;
    if (state.opened === null) {
      at.value = null;
      return;
    }
    if (STOPS[at.value].tried(state, before)) at.value += 1;
  });
  return element;
}

function Card() {
  const stop = at.value;
  if (stop === null) return null;
  const { title, text } = STOPS[stop];
  const last = stop === STOPS.length - 1;
  return (
    <section class="tour-card" aria-label={SAY.title}>
      <p class="hint">{fill(SAY.place, { n: stop + 1, all: STOPS.length })}</p>
      <h3>{title}</h3>
      <p aria-live="polite">{text}</p>
      <div class="dialog-buttons">
        {!last && (
          <button
            type="button"
            class="button small"
            onClick={() => {
              at.value = null;
            }}
          >
            {SAY.end}
          </button>
        )}
        <button
          type="button"
          class="button small primary"
          onClick={() => {
            at.value = last ? null : stop + 1;
          }}
        >
          {last ? SAY.done : SAY.next}
        </button>
      </div>
    </section>
  );
}

export function robotBar(actions: Actions): HTMLElement {
  const element = h("div", { class: "robot-place" });
  render(<Watched actions={actions} />, element);
  return element;
}

function Watched({ actions }: { readonly actions: Actions }) {
  const field = useMemo(() => fieldOf(actions.store, "robot"), []);
  const robot = field.value;
  if (robot === null) return null;
  const { dices } = robot;
  const points = curve(dices, WIDTH - 8, HEIGHT - 8);
  const places = dices.length === 0 ? [] : points.split(" ").map((place) => place.split(",").map(Number));
  return (
    <div class="preview-bar" role="status">
      <svg
        class="robot-curve"
        width={WIDTH}
        height={HEIGHT}
        role="img"
        aria-label={fill(phrases.robot.dice, { values: dices.map((d) => fixed(d, 2)).join(", ") })}
      >
        <polyline points={points} transform="translate(4 4)" />
        {places.map(([x, y], i) => (
          <circle key={i} cx={x + 4} cy={y + 4} r={2.5} />
        ))}
      </svg>
      <span>{robotWords(robot)}</span>
      <button
        type="button"
        class="button small"
        onClick={() => {
          actions.store.set({ robot: null });
        }}
      >
        {robot.running ? phrases.robot.stop : phrases.common.close}
      </button>
    </div>
  );
}
