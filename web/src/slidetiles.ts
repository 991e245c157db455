/**
 * The tiles of a slide on their way: asked for when they are in sight, the middle first, and kept while there is room.
 *
 * Until a tile is there a coarser one is shown in its place, so that nothing is ever blank. Tiles of the mask are asked
 * for anew when the mask has changed; the old one is shown until then.
 */

import { request, type Slide } from "./api";
import type { Point } from "./geometry";
import { type Area, areaOfTile, areaSeen, levelShown, type Seen, type Tile, tilesSeen } from "./slide";

const KEPT = 140; // tiles of the picture, of a megabyte each, and of the mask
const AT_ONCE = 6;
const AGAIN_MS = 3000; // after a tile did not come

type Kind = "tiles" | "mask";

interface Kept {
  picture: ImageBitmap | null; // null: nothing is marked there
  version: number; // of the mask when it was asked for
  used: number;
}

export class SlideTiles {
  readonly #kept = new Map<string, Kept>();
  readonly #failed = new Map<string, number>();
  readonly #underway = new Set<string>();
  #wanted: { key: string; path: string; version: number }[] = [];
  #version = 0; // of the mask
  #frame = 0;
  #closed = false;

  constructor(
    readonly slide: Slide,
    readonly arrived: () => void,
  ) {}

  /** Tiles of the mask are out of date. */
  renewMask(): void {
    this.#version += 1;
    this.arrived();
  }

  /** True when everything that is in sight is there. */
  get settled(): boolean {
    return this.#wanted.length + this.#underway.size === 0;
  }

  close(): void {
    this.#closed = true;
    this.#wanted = [];
    for (const { picture } of this.#kept.values()) picture?.close();
    this.#kept.clear();
  }

  /** Draw what is there of the slide, and ask for what is not; begin a frame with it. */
  draw(context: CanvasRenderingContext2D, seen: Seen, size: Point, density: number): void {
    this.#frame += 1;
    this.#wanted = [];
    const area = areaSeen(this.slide, seen, size);
    if (area === null) return;
    const level = levelShown(this.slide, seen, density);
    for (let coarse = this.slide.levels - 1; coarse >= level; coarse--) {
      for (const tile of tilesSeen(this.slide, coarse, area)) {
        const kept = this.#take("tiles", tile, coarse === level || coarse === this.slide.levels - 1);
        const picture = kept?.picture ?? null;
        if (picture !== null) this.#lay(context, seen, picture, areaOfTile(this.slide, tile));
      }
    }
  }

  /** Draw all of the slide, small, of its coarsest tiles. */
  drawWhole(context: CanvasRenderingContext2D, seen: Seen): void {
    const { width, height, levels } = this.slide;
    for (const tile of tilesSeen(this.slide, levels - 1, { left: 0, top: 0, right: width, bottom: height })) {
      const kept = this.#kept.get(keyOf("tiles", tile));
      const picture = kept?.picture ?? null;
      if (picture !== null) this.#lay(context, seen, picture, areaOfTile(this.slide, tile));
    }
  }

  /** Draw the mask of the slide in the same way, outside a part of it that is drawn otherwise. */
  drawMask(context: CanvasRenderingContext2D, seen: Seen, size: Point, density: number, without: Area): void {
    const area = areaSeen(this.slide, seen, size);
    if (area === null) return;
    context.save();
    const path = new Path2D();
    path.rect(0, 0, ...size);
    const [left, top] = [without.left * seen.scaleX + seen.offsetX, without.top * seen.scaleY + seen.offsetY];
    path.rect(left, top, (without.right - without.left) * seen.scaleX, (without.bottom - without.top) * seen.scaleY);
    context.clip(path, "evenodd");
    context.imageSmoothingEnabled = false;
    for (const tile of tilesSeen(this.slide, levelShown(this.slide, seen, density), area)) {
      const kept = this.#take("mask", tile, true);
      if (kept !== undefined) {
        if (kept.picture !== null) this.#lay(context, seen, kept.picture, areaOfTile(this.slide, tile));
      } else this.#layCoarser(context, seen, tile);
    }
    context.restore();
    this.#goOn();
  }

  /** Draw the part of a coarser tile of the mask that covers one that is not there. */
  #layCoarser(context: CanvasRenderingContext2D, seen: Seen, tile: Tile): void {
    for (let up = 1; tile.level + up < this.slide.levels; up++) {
      const { level, row, column } = { level: tile.level + up, row: tile.row >> up, column: tile.column >> up };
      const kept = this.#kept.get(keyOf("mask", { level, row, column }));
      if (kept === undefined) continue;
      if (kept.picture === null) return;
      const [part, all] = [areaOfTile(this.slide, tile), areaOfTile(this.slide, { level, row, column })];
      const pixel = 2 ** level;
      context.drawImage(
        kept.picture,
        (part.left - all.left) / pixel,
        (part.top - all.top) / pixel,
        (part.right - part.left) / pixel,
        (part.bottom - part.top) / pixel,
        part.left * seen.scaleX + seen.offsetX,
        part.top * seen.scaleY + seen.offsetY,
        (part.right - part.left) * seen.scaleX,
        (part.bottom - part.top) * seen.scaleY,
      );
      return;
    }
  }

  #lay(context: CanvasRenderingContext2D, seen: Seen, picture: ImageBitmap, area: Area): void {
    // To whole pixels of the screen, or lines would show between tiles.
    const density = window.devicePixelRatio || 1;
    const snap = (value: number): number => Math.round(value * density) / density;
    const left = snap(area.left * seen.scaleX + seen.offsetX);
    const top = snap(area.top * seen.scaleY + seen.offsetY);
    const right = snap(area.right * seen.scaleX + seen.offsetX);
    const bottom = snap(area.bottom * seen.scaleY + seen.offsetY);
    context.drawImage(picture, left, top, right - left, bottom - top);
  }

  /** Return a tile that is there, and ask for it where it is not or is out of date. */
  #take(kind: Kind, tile: Tile, ask: boolean): Kept | undefined {
    const key = keyOf(kind, tile);
    const kept = this.#kept.get(key);
    if (kept !== undefined) kept.used = this.#frame;
    const version = kind === "mask" ? this.#version : 0;
    const fresh = kept !== undefined && kept.version === version;
    if (ask && !fresh && !this.#underway.has(key) && (this.#failed.get(key) ?? 0) < performance.now()) {
      const { level, row, column } = tile;
      this.#wanted.push({
        key,
        path: `api/cases/${this.slide.case}/slide/${kind}/${level}/${row}/${column}`,
        version,
      });
    }
    return kept;
  }

  #goOn(): void {
    while (!this.#closed && this.#underway.size < AT_ONCE) {
      const next = this.#wanted.findIndex(({ key }) => !this.#underway.has(key));
      if (next < 0) return;
      const [one] = this.#wanted.splice(next, 1);
      void this.#fetch(one.key, one.path, one.version);
    }
  }

  async #fetch(key: string, path: string, version: number): Promise<void> {
    this.#underway.add(key);
    try {
      const reply = await request(path);
      const picture = reply.status === 204 ? null : await createImageBitmap(await reply.blob());
      if (this.#closed) {
        picture?.close();
        return;
      }
      this.#kept.get(key)?.picture?.close();
      this.#kept.set(key, { picture, version, used: this.#frame });
      this.#failed.delete(key);
      this.#forget();
    } catch {
      this.#failed.set(key, performance.now() + AGAIN_MS);
      setTimeout(this.arrived, AGAIN_MS);
    } finally {
      this.#underway.delete(key);
      if (!this.#closed) this.arrived();
      this.#goOn();
    }
  }

  /** Give up what was seen longest ago, where too much is kept. */
  #forget(): void {
    if (this.#kept.size <= 2 * KEPT) return;
    const old = [...this.#kept].filter(([, { used }]) => used < this.#frame).sort(([, a], [, b]) => a.used - b.used);
    for (const [key, { picture }] of old.slice(0, this.#kept.size - KEPT)) {
      picture?.close();
      this.#kept.delete(key);
    }
  }
}

const keyOf = (kind: Kind, { level, row, column }: Tile): string => `${kind}/${level}/${row}/${column}`;
