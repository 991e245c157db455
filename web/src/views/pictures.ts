/** What of a slice is painted in voxels and kept until it changes: images, masks and their outlines, uncertainty. */

import type { Spec } from "../arrange";
import { coloursOf } from "../colours";
import { type Change, paintChange } from "../change";
import { type Box, extentOf, type Plane, type Point, type Projection, type Rect, rectOf, union } from "../geometry";
import { layersOf } from "../labels";
import { type Colour, outlines, paintLabels, paintUncertainty, paintVolume } from "../slices";
import { isThere } from "../nifti";
import { lookOf, type Opened, seriesOf, type State, thicknessOf } from "../state";

/** A picture in voxels, kept until what it shows changes. */
class Picture {
  readonly canvas = document.createElement("canvas");
  readonly context = this.canvas.getContext("2d")!;

  constructor([width, height]: Point) {
    this.canvas.width = width;
    this.canvas.height = height;
  }

  paint(rect: Rect, fill: (out: Uint8ClampedArray) => void): void {
    const data = this.context.createImageData(rect.width, rect.height);
    fill(data.data);
    this.context.putImageData(data, rect.u, rect.v);
  }
}

/** The pictures of one plane of a case. */
export class Pictures {
  readonly #volume: Picture;
  readonly #masks = new Map<number, Picture>(); // by layer
  #uncertainty: Picture | null = null;
  #fused: Picture | null = null;
  readonly #whole: Rect;
  #drawn = { volume: "", fused: "", mask: "", uncertainty: "" };
  #dirty: Box | null = null; // of the mask, since it was last painted
  #edges = new Map<number, Path2D>();
  #slice = 0;

  constructor(
    readonly opened: Opened,
    readonly plane: Plane,
    readonly spec: Spec,
  ) {
    const [width, height] = extentOf(plane, opened.volume.shape);
    this.#whole = { u: 0, v: 0, width, height };
    this.#volume = new Picture([width, height]);
  }

  /** The mask changed in a box, or, with null, everywhere. */
  maskChanged(box: Box | null): void {
    if (box === null) this.#drawn.mask = "";
    else this.#dirty = union(this.#dirty, box);
  }

  /** Paint the image and the masks of a slice, as far as they are not painted. */
  paint(state: State, slice: number): void {
    this.#slice = slice;
    this.#paintVolume(state);
    this.#paintMask(state);
  }

  drawVolume(context: CanvasRenderingContext2D, p: Projection): void {
    this.#lay(context, this.#volume, p);
  }

  drawMasks(context: CanvasRenderingContext2D, state: State, p: Projection): void {
    for (const layer of layersOf(state.labels)) this.#lay(context, this.#maskOf(layer), p);
  }

  #paintVolume(state: State): void {
    const image = this.spec.image ?? state.image;
    const painted = this.#paintSeries(this.#volume, state, image, this.#drawn.volume, false);
    this.#drawn.volume = painted;
  }

  /** Paint a slice of an image of the case where that shows another one than before; returns what names it. */
  #paintSeries(picture: Picture, state: State, image: number, before: string, fades: boolean): string {
    const series = seriesOf(this.opened, image);
    if (series === null) {
      picture.context.clearRect(0, 0, this.#whole.width, this.#whole.height);
      return "";
    }
    const { contrast, colours } = lookOf(state, image, series);
    const { slab } = state;
    const thickness = thicknessOf(state, this.plane);
    const alone = this.plane.normal === 0 && thickness === 1; // then other slices that arrive change nothing
    const arrived = alone ? isThere(series.volume, this.#slice) : state.arrived;
    const key = `${image} ${this.#slice} ${arrived} ${contrast.low} ${contrast.high} ${colours} ${slab} ${thickness}`;
    if (key === before) return key;
    const painting = { colours: colours === "Grey" ? undefined : coloursOf(colours), slab, thickness, fades };
    picture.paint(this.#whole, (out) => {
      paintVolume(series.volume, this.plane, this.#slice, contrast, out, painting);
    });
    return key;
  }

  /** Return the picture of a layer's masks. */
  #maskOf(layer: number): Picture {
    let picture = this.#masks.get(layer);
    if (picture === undefined) {
      picture = new Picture([this.#whole.width, this.#whole.height]);
      this.#masks.set(layer, picture);
    }
    return picture;
  }

  /** Paint the masks' pictures: all of them for a new slice or new colours, else only the box that changed. */
  #paintMask(state: State): void {
    const { maps } = this.opened;
    const looks = state.labels.map(({ value, colour, opacity }) => `${value}:${colour.join()}:${opacity}`).join();
    const layers = layersOf(state.labels);
    const key = `${this.#slice} ${looks} ${state.hidden.join()} ${layers.join()}`;
    const fresh = key !== this.#drawn.mask;
    if (!fresh && this.#dirty === null) return;
    const shape = maps.shape;
    const rect = fresh ? this.#whole : rectOf(this.plane, shape, this.#slice, this.#dirty!);
    this.#dirty = null;
    if (rect === null) return;
    const colours = new Map<number, Colour>(state.labels.map(({ value, colour }) => [value, colour]));
    const opacities = new Map(state.labels.map(({ value, opacity }) => [value, opacity]));
    for (const value of state.hidden) opacities.set(value, 0);
    this.#edges = new Map();
    for (const layer of layers) {
      const [map, picture] = [maps.of(layer), this.#maskOf(layer)];
      if (fresh) picture.context.clearRect(0, 0, rect.width, rect.height);
      const painted = map.painted === null ? null : rectOf(this.plane, shape, this.#slice, map.painted);
      const area = fresh ? painted : rect;
      if (area !== null) {
        picture.paint(area, (out) => {
          paintLabels(map, this.plane, this.#slice, area, colours, out, opacities);
        });
      }
      if (painted === null) continue;
      for (const [label, pieces] of outlines(map, this.plane, this.#slice, painted)) {
        const path = new Path2D();
        for (let i = 0; i < pieces.length; i += 4) {
          path.moveTo(pieces[i], pieces[i + 1]);
          path.lineTo(pieces[i + 2], pieces[i + 3]);
        }
        this.#edges.set(label, path);
      }
    }
    this.#drawn.mask = key;
  }

  #lay(context: CanvasRenderingContext2D, picture: Picture, p: Projection): void {
    const { width, height } = picture.canvas;
    context.drawImage(picture.canvas, p.offsetX, p.offsetY, width * p.scaleX, height * p.scaleY);
  }

  /** Lay another image over the chosen one, clear where its values are low; beside each other each is shown alone. */
  drawFused(context: CanvasRenderingContext2D, state: State, p: Projection): void {
    const { fused } = state;
    if (fused === null || this.spec.image !== null || seriesOf(this.opened, fused) === null) return;
    this.#fused ??= new Picture([this.#whole.width, this.#whole.height]);
    this.#drawn.fused = this.#paintSeries(this.#fused, state, fused, this.#drawn.fused, true);
    context.globalAlpha = state.fusedOpacity;
    this.#lay(context, this.#fused, p);
    context.globalAlpha = 1;
  }

  /** Lay where the method is uncertain over the mask. */
  drawUncertainty(context: CanvasRenderingContext2D, state: State, p: Projection): void {
    const { uncertainty } = this.opened;
    if (uncertainty === null || uncertainty.painted === null) return;
    const rect = rectOf(this.plane, uncertainty.shape, this.#slice, uncertainty.painted);
    if (rect === null) return;
    const { width, height } = this.#whole;
    this.#uncertainty ??= new Picture([width, height]);
    const key = `${this.#slice} ${state.uncertaintyVersion}`;
    if (key !== this.#drawn.uncertainty) {
      this.#uncertainty.context.clearRect(0, 0, width, height);
      this.#uncertainty.paint(rect, (out) => {
        paintUncertainty(uncertainty, this.plane, this.#slice, rect, out);
      });
      this.#drawn.uncertainty = key;
    }
    context.imageSmoothingEnabled = state.smooth;
    this.#lay(context, this.#uncertainty, p);
  }

  /** Lay what would change over the mask. */
  drawChange(context: CanvasRenderingContext2D, change: Change, p: Projection): void {
    const { shape } = this.opened.volume;
    const rect = rectOf(this.plane, shape, this.#slice, change.box);
    if (rect === null) return;
    const picture = new Picture([this.#whole.width, this.#whole.height]);
    picture.paint(rect, (out) => {
      paintChange(change, shape, this.plane, this.#slice, rect, out);
    });
    context.imageSmoothingEnabled = false;
    this.#lay(context, picture, p);
  }

  drawEdges(context: CanvasRenderingContext2D, state: State, p: Projection): void {
    const place = new DOMMatrix([p.scaleX, 0, 0, p.scaleY, p.offsetX, p.offsetY]);
    for (const [label, edges] of this.#edges) {
      if (state.hidden.includes(label)) continue;
      const colour = state.labels.find(({ value }) => value === label)?.colour ?? [160, 160, 160];
      const path = new Path2D();
      path.addPath(edges, place);
      context.lineCap = "square";
      context.lineWidth = label === state.label ? 1.75 : 1.25;
      context.strokeStyle = `rgb(${colour.join()})`;
      context.stroke(path);
    }
  }
}
