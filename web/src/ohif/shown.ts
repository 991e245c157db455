/**
 * A session's masks as a segmentation of OHIF: one segment a label, voxel for voxel, in the slices of the series.
 *
 * OHIF's map has one segment a voxel. Where labels overlap, the one further down the list has it, as in files that can
 * hold no more.
 */

import type { Label } from "../api";
import type { Box, Index } from "../geometry";
import { LayeredMap } from "../labelmap";
import type { MaskPatch } from "../wire";
import { type DisplaySet, keyOf, page, type Services, showing, sliceKey } from "./viewer";

const LABELMAP = "Labelmap";
const MOST_SEGMENTS = 255; // OHIF keeps a byte a voxel

export class Shown {
  readonly id: string;
  readonly #services: Services;
  readonly #series: string;
  #pictures: readonly (string | null)[] = []; // of the labelmap, by slice of the case
  #numbers: readonly number[] = []; // of these pictures among all of the segmentation
  #labels: readonly Label[] = [];
  readonly #maps: LayeredMap;
  #order = ""; // of labels that overlap others, by their layers

  private constructor(services: Services, displaySet: DisplaySet, id: string, shape: Index) {
    this.#services = services;
    this.#maps = new LayeredMap(shape);
    this.#series = displaySet.SeriesInstanceUID;
    this.id = id;
  }

  /** Show nothing yet of a session on a series; null where the series has none of the slices. */
  static async on(
    services: Services,
    displaySet: DisplaySet,
    session: string,
    slices: readonly (readonly [string, number])[],
    shape: Index,
    title: string,
  ): Promise<Shown | null> {
    const shown = new Shown(services, displaySet, `segmend-${session}`, shape);
    const { segmentationService } = services;
    if (segmentationService.getSegmentation(shown.id) !== undefined) segmentationService.remove(shown.id);
    const segments = { 1: { segmentIndex: 1, label: title, active: true, locked: true } };
    await segmentationService.createLabelmapForDisplaySet(displaySet, {
      segmentationId: shown.id,
      label: title,
      segments,
    });
    const data = segmentationService.getSegmentation(shown.id)?.representationData[LABELMAP];
    const places = new Map(slices.map(([file, frame], z) => [sliceKey(file, frame), z]));
    const pictures = new Array<string | null>(shape[0]).fill(null);
    const numbers = new Array<number>(shape[0]).fill(-1);
    (data?.referencedImageIds ?? displaySet.imageIds ?? []).forEach((imageId, number) => {
      const z = places.get(keyOf(imageId));
      const picture = data?.imageIds[number];
      const image = picture === undefined ? undefined : page().cornerstone.cache.getImage(picture);
      if (z === undefined || picture === undefined || image === undefined) return;
      if (image.rows !== shape[1] || image.columns !== shape[2]) return;
      pictures[z] = picture;
      numbers[z] = number;
    });
    if (pictures.every((picture) => picture === null)) {
      segmentationService.remove(shown.id);
      return null;
    }
    shown.#pictures = pictures;
    shown.#numbers = numbers;
    await shown.show();
    return shown;
  }

  isOf(displaySet: DisplaySet): boolean {
    return displaySet.SeriesInstanceUID === this.#series;
  }

  /** Show it wherever the series is shown. */
  async show(): Promise<void> {
    const { segmentationService } = this.#services;
    const options = { segmentationId: this.id };
    for (const viewport of showing(this.#services, (one) => this.isOf(one)).keys()) {
      if (segmentationService.getSegmentation(this.id) === undefined) return;
      if (segmentationService.getSegmentationRepresentations(viewport, options).length > 0) continue;
      await segmentationService.addSegmentationRepresentation(viewport, { ...options, type: LABELMAP });
    }
    this.#colour();
  }

  /** Show the whole mask: what lies in the patch, and nothing beside it. */
  replace(patch: MaskPatch): void {
    this.#maps.clear();
    for (const picture of this.#pictures) {
      if (picture !== null) page().cornerstone.cache.getImage(picture)?.voxelManager.getScalarData().fill(0);
    }
    this.#take(patch);
    this.#changed();
  }

  apply(patch: MaskPatch): void {
    this.#take(patch);
    this.#changed(patch.box);
  }

  #take(patch: MaskPatch): void {
    this.#maps.of(patch.layer).apply(patch);
    this.#lay(patch.box);
  }

  /** Put what the maps say of a box into the pictures. */
  #lay({ low, high }: Box): void {
    const columns = high[2] - low[2];
    const over = overlapping(this.#labels);
    const [, rows, width] = this.#maps.shape;
    for (let z = low[0]; z < high[0]; z += 1) {
      const picture = this.#pictures[z];
      const voxels =
        picture === null ? undefined : page().cornerstone.cache.getImage(picture)?.voxelManager.getScalarData();
      if (voxels === undefined) continue;
      for (let y = low[1]; y < high[1]; y += 1) {
        const from = (z * rows + y) * width + low[2];
        const at = y * width + low[2];
        voxels.set(this.#maps.of(0).values.subarray(from, from + columns), at);
        for (const { value, layer } of over) {
          const map = this.#maps.of(layer).values;
          for (let x = 0; x < columns; x += 1) if (map[from + x] === value) voxels[at + x] = value;
        }
      }
    }
  }

  #changed(box?: Box): void {
    const slices = box === undefined ? this.#numbers : this.#numbers.slice(box.low[0], box.high[0]);
    const { triggerSegmentationEvents } = page().cornerstoneTools.segmentation;
    triggerSegmentationEvents.triggerSegmentationDataModified(
      this.id,
      slices.filter((number) => number >= 0),
    );
  }

  /** Have a segment for each label, named and coloured as it is. OHIF's own tools cannot change them. */
  name(labels: readonly Label[]): void {
    const { segmentationService } = this.#services;
    const there = segmentationService.getSegmentation(this.id)?.segments;
    if (there === undefined) return;
    this.#labels = labels.filter(({ value }) => value <= MOST_SEGMENTS);
    const order = JSON.stringify(overlapping(this.#labels).map(({ value, layer }) => [value, layer]));
    if (order !== this.#order) {
      this.#order = order;
      this.#lay({ low: [0, 0, 0], high: this.#maps.shape });
      this.#changed();
    }
    const wanted = new Set(this.#labels.map(({ value }) => value));
    for (const { value, name, colour } of this.#labels) {
      const segment = there[value];
      if (segment === undefined) {
        const options = { segmentIndex: value, label: name, color: [...colour, 255], isLocked: true };
        segmentationService.addSegment(this.id, options);
      } else if (segment.label !== name) segmentationService.setSegmentLabel(this.id, value, name);
    }
    for (const value of Object.keys(there).map(Number)) {
      if (!wanted.has(value)) {
        segmentationService.removeSegment(this.id, value, { skipRecordingHistory: true });
      }
    }
    this.#colour();
  }

  #colour(): void {
    const { segmentationService } = this.#services;
    if (segmentationService.getSegmentation(this.id) === undefined) return;
    for (const viewport of segmentationService.getViewportIdsWithSegmentation(this.id)) {
      for (const { value, colour } of this.#labels) {
        segmentationService.setSegmentColor(viewport, this.id, value, [...colour, 255]);
      }
    }
  }

  choose(label: number): void {
    const { segmentationService } = this.#services;
    if (segmentationService.getSegmentation(this.id)?.segments[label] !== undefined) {
      segmentationService.setActiveSegment(this.id, label);
    }
  }

  remove(): void {
    if (this.#services.segmentationService.getSegmentation(this.id) !== undefined) {
      this.#services.segmentationService.remove(this.id);
    }
  }
}

/** Return the labels that are painted over the first layer, in turn: from the first one on that overlaps others. */
export function overlapping(labels: readonly Label[]): readonly Label[] {
  const first = labels.findIndex(({ layer }) => layer !== 0);
  return first < 0 ? [] : labels.slice(first);
}
