/** Fields of view of a slide are opened to be marked in. */

import * as api from "../api";
import { type Index, type Point, type Projection, spacingOf, type View } from "../geometry";
import { phrases } from "../phrases";
import { areaOf, areaSeen, placeUnder, regionToMark, type Seen, seenAround, viewAs } from "../slide";
import { SlideTiles } from "../slidetiles";
import type { Opened, Store } from "../state";
import type { Cases } from "./cases";
import type { Marks } from "./marks";
import type { Session } from "./session";
import type { Views } from "./views";
import type { Work } from "./work";

const SAY = phrases.actions;

const MOVE_MS = 25; // between two looks whether marks have been recorded, or can be put down
const MOVE_TRIES = 120;
const READY_TRIES = 200;

/** The pane that shows a slide, as far as fields of view are opened in it. */
export interface SlidePane {
  readonly opened: Opened;
  readonly spec: { readonly id: string };
  readonly size: Point;
  readonly seen: Seen;
  readonly projection: Projection;
  readonly zooms: readonly [number, number];
  view: View;
  suits(at?: Point): boolean;
  fitOf(shape: Index, spacing: Index): number;
}

export class Slides {
  #moving = false; // to another field of view of a slide
  slidePane: () => SlidePane | null = () => null; // that shows the open case; told by who made it

  constructor(
    private readonly store: Store,
    private readonly session: Session,
    private readonly views: Views,
    private readonly cases: Cases,
    private readonly work: Work,
    private readonly marks: Marks,
  ) {}

  /** Show all of the open slide. */
  showWhole(): void {
    const { opened } = this.store.state;
    if (opened === null || opened.onSlide === null) return;
    this.store.set({ views: this.cases.wholeSlide(opened, opened.onSlide.tiles.slide, opened.onSlide.field) });
  }

  /** Open what is seen of a slide as a field of view to mark in; a click that asked for it is put down then. */
  async markHere(
    pane: SlidePane,
    click: { readonly at: Point; readonly positive: boolean } | null = null,
  ): Promise<void> {
    const { opened, tool } = this.store.state;
    if (opened === null || opened.onSlide === null || this.#moving || this.work.isFinished()) return;
    const { seen, size } = pane;
    const region = regionToMark(opened.onSlide.tiles.slide, seen, size);
    if (region === null) return;
    await this.#moveTo(pane, opened.onSlide.tiles, () => api.addField(opened.case.id, region));
    if (click === null || tool !== "click" || !(await this.#ready())) return;
    const { opened: now } = this.store.state;
    if (now === null || now.onSlide === null) return;
    const { field } = now.onSlide;
    const [x, y] = placeUnder(seen, click.at).map((value) => value / 2 ** field.level);
    const index: Index = [0, Math.floor(y - field.low[0]), Math.floor(x - field.low[1])];
    if (index[1] < 0 || index[2] < 0 || index[1] >= now.volume.shape[1] || index[2] >= now.volume.shape[2]) return;
    this.views.setCrosshair(index);
    this.marks.place({ kind: "click", index, positive: click.positive });
  }

  /** Go to another field of view, with the slide as it lies on the screen, or with the field in the middle. */
  async #moveTo(
    pane: SlidePane,
    tiles: SlideTiles,
    find: () => Promise<api.FieldOfView>,
    seenThen: (field: api.FieldOfView, seen: Seen) => Seen = (_, seen) => seen,
  ): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null || this.#moving) return;
    this.#moving = true;
    const abort = (this.session.opening = new AbortController());
    try {
      for (let tries = 0; this.store.state.unsent.length > 0; tries++) {
        if (tries > MOVE_TRIES || this.store.state.connection !== "live") throw new Error(SAY.notSaved);
        await new Promise((resolve) => setTimeout(resolve, MOVE_MS));
      }
      const field = await find();
      const slide = await api.slide(opened.case.id);
      await this.cases.showField(opened.case, slide, field, tiles, abort, () => {
        const seen = seenThen(field, pane.seen); // as the slide lies now, before another picture is in the pane
        return ({ volume: { shape, affine } }) => {
          const fit = pane.fitOf(shape, spacingOf(affine));
          return { [pane.spec.id]: viewAs(seen, pane.size, field, fit) };
        };
      });
      tiles.renewMask();
    } finally {
      this.#moving = false;
    }
  }

  /** True while another field of view of a slide is being opened. */
  get isMoving(): boolean {
    return this.#moving;
  }

  /** Wait until marks can be put down; false where that takes long. */
  async #ready(): Promise<boolean> {
    for (let tries = 0; tries < READY_TRIES; tries++) {
      const { connection, labels, label, events } = this.store.state;
      if (connection === "live" && events.length > 0 && labels.some(({ value }) => value === label)) return true;
      await new Promise((resolve) => setTimeout(resolve, MOVE_MS));
    }
    return false;
  }

  /** Ask for the labels and fields of view of the slide again, whose mask may have changed. */
  async refresh(): Promise<void> {
    const { opened, slide: before } = this.store.state;
    if (opened === null || opened.onSlide === null) return;
    const slide = await api.slide(opened.case.id);
    if (this.store.state.opened !== opened) return;
    this.store.set({ slide });
    if (slide.version !== before?.version) opened.onSlide.tiles.renewMask();
  }

  /** Return the field of view that was marked in before this one; null where there is none. */
  markedBefore(): api.FieldOfView | null {
    const { opened, slide } = this.store.state;
    if (opened === null || opened.onSlide === null || slide === null) return null;
    return slide.fields.filter(({ marks, session }) => marks > 0 && session !== opened.session).at(-1) ?? null;
  }

  /** Go back to where was marked before, and wait until the last step there can be taken back; false where it cannot. */
  async goToMarked(): Promise<boolean> {
    const { opened } = this.store.state;
    const [before, pane] = [this.markedBefore(), this.slidePane()];
    if (opened === null || opened.onSlide === null || before === null || pane === null || this.work.isFinished())
      return false;
    const { slide } = opened.onSlide.tiles;
    await this.#moveTo(
      pane,
      opened.onSlide.tiles,
      () => Promise.resolve(before),
      (field, seen) => {
        const { left, top, right, bottom } = areaOf(field);
        const [width, height] = pane.size;
        const area = areaSeen(slide, seen, pane.size);
        const inSight =
          area !== null && area.left < right && left < area.right && area.top < bottom && top < area.bottom;
        const scale = 0.9 * Math.min(width / (right - left), height / (bottom - top));
        return inSight ? seen : seenAround([(left + right) / 2, (top + bottom) / 2], scale, pane.size);
      },
    );
    return this.#ready();
  }
}
