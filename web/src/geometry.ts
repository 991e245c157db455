/**
 * Where voxels lie on the screen: pure functions, tested without a page.
 *
 * An index is (z, y, x) on the file's own grid, as everywhere in Segmend. A plane shows two of the
 * file's axes, chosen and flipped so that the picture is the anatomical plane nearest to the grid, in
 * the radiologist's view: patient right on the left of the screen, anterior or superior at the top.
 * Nothing is resampled, so every pixel is exactly one voxel, for any orientation, oblique or sheared.
 *
 * A plane's *pixel* (u, v) is the place in its picture: u to the right, v down, voxel edges at whole numbers.
 */

export type Index = readonly [number, number, number]; // (z, y, x)
export type Axis = 0 | 1 | 2; // of an Index
export type Point = readonly [number, number]; // (u, v) of a plane, or CSS pixels (x, y) of a pane
export type PlaneName = "axial" | "coronal" | "sagittal";
/** Rows R, A, S in mm; columns z, y, x, 1. */
export type Affine = readonly (readonly [number, number, number, number])[];

export interface Box {
  readonly low: Index; // inside
  readonly high: Index; // just outside
}

export interface Plane {
  readonly name: PlaneName;
  readonly normal: Axis; // the axis one scrolls along
  readonly right: Axis; // the axis that runs along the screen's x
  readonly down: Axis;
  readonly flipRight: boolean; // true when the index falls towards the right
  readonly flipDown: boolean;
  readonly edges: Readonly<{ left: string; right: string; top: string; bottom: string }> | null;
}

/** What part of a plane a pane shows: the pixel in its middle, and magnification over "all of it fits". */
export interface View {
  readonly centre: Point;
  readonly zoom: number;
}

const ALL: readonly (readonly [Axis, Axis, Axis])[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

/** Return the millimetres from one voxel to the next along (z, y, x). */
export function spacingOf(affine: Affine): Index {
  const length = (axis: Axis): number => Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]);
  return [length(0), length(1), length(2)];
}

/** For R, A and S in turn: the file's axis that runs nearest to it, and whether it runs the same way. */
export function orientation(affine: Affine): readonly { axis: Axis; same: boolean }[] {
  const spacing = spacingOf(affine);
  const cosine = (world: number, axis: Axis): number => affine[world][axis] / (spacing[axis] || 1);
  const likeness = (axes: readonly Axis[]): number =>
    axes.reduce((sum: number, axis, world) => sum + Math.abs(cosine(world, axis)), 0);
  const best = ALL.reduce<readonly Axis[]>((a, b) => (likeness(b) > likeness(a) + 1e-9 ? b : a), [2, 1, 0]);
  return best.map((axis, world) => ({ axis, same: cosine(world, axis) > 0 }));
}

/** Return the three planes of a grid with this affine. */
export function planesOf(affine: Affine): Readonly<Record<PlaneName, Plane>> {
  const [right, anterior, superior] = orientation(affine) as [
    { axis: Axis; same: boolean },
    { axis: Axis; same: boolean },
    { axis: Axis; same: boolean },
  ];
  return {
    axial: {
      name: "axial",
      normal: superior.axis,
      right: right.axis,
      down: anterior.axis,
      flipRight: right.same,
      flipDown: anterior.same,
      edges: { left: "R", right: "L", top: "A", bottom: "P" },
    },
    coronal: {
      name: "coronal",
      normal: anterior.axis,
      right: right.axis,
      down: superior.axis,
      flipRight: right.same,
      flipDown: superior.same,
      edges: { left: "R", right: "L", top: "S", bottom: "I" },
    },
    sagittal: {
      name: "sagittal",
      normal: right.axis,
      right: anterior.axis,
      down: superior.axis,
      flipRight: anterior.same,
      flipDown: superior.same,
      edges: { left: "A", right: "P", top: "S", bottom: "I" },
    },
  };
}

/** The plane of a photograph: rows run down and columns to the right, as in the file. */
export const PHOTO: Plane = {
  name: "axial",
  normal: 0,
  right: 2,
  down: 1,
  flipRight: false,
  flipDown: false,
  edges: null,
};

/** Return the planes worth showing: all three of a volume, the one of a single slice. */
export function shownPlanes(shape: Index, affine: Affine, photo: boolean): readonly Plane[] {
  if (photo) return [PHOTO];
  const planes = Object.values(planesOf(affine));
  return shape[0] > 1 ? planes : planes.filter((plane) => plane.normal === 0);
}

/** Return the picture's (width, height) in voxels. */
export function extentOf(plane: Plane, shape: Index): Point {
  return [shape[plane.right], shape[plane.down]];
}

/** Return the pixel whose corner is the voxel's upper left in the picture. */
export function pixelOf(plane: Plane, shape: Index, index: Index): Point {
  const u = index[plane.right];
  const v = index[plane.down];
  return [plane.flipRight ? shape[plane.right] - 1 - u : u, plane.flipDown ? shape[plane.down] - 1 - v : v];
}

/** Return the voxel at a whole or broken pixel of a slice; null outside the picture. */
export function indexAt(plane: Plane, shape: Index, slice: number, [u, v]: Point): Index | null {
  const [width, height] = extentOf(plane, shape);
  const column = Math.floor(u);
  const row = Math.floor(v);
  if (column < 0 || row < 0 || column >= width || row >= height) return null;
  const index: [number, number, number] = [0, 0, 0];
  index[plane.normal] = slice;
  index[plane.right] = plane.flipRight ? width - 1 - column : column;
  index[plane.down] = plane.flipDown ? height - 1 - row : row;
  return index;
}

/** Return the nearest voxel inside the picture, for a gesture that leaves it. */
export function nearestIndexAt(plane: Plane, shape: Index, slice: number, [u, v]: Point): Index {
  const [width, height] = extentOf(plane, shape);
  return indexAt(plane, shape, slice, [clamp(u, 0, width - 0.5), clamp(v, 0, height - 0.5)])!;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/** The straight map from a plane's pixels to CSS pixels of a pane: x = u * scaleX + offsetX. */
export interface Projection {
  readonly scaleX: number;
  readonly scaleY: number;
  readonly offsetX: number;
  readonly offsetY: number;
}

/** Return how a pane of `size` CSS pixels shows this view of a plane. */
export function project(plane: Plane, shape: Index, spacing: Index, view: View, size: Point): Projection {
  const [width, height] = extentOf(plane, shape);
  const [mmX, mmY] = [spacing[plane.right], spacing[plane.down]];
  const fit = 0.96 * Math.min(size[0] / (width * mmX), size[1] / (height * mmY)); // a little air round it
  const scaleX = mmX * fit * view.zoom;
  const scaleY = mmY * fit * view.zoom;
  return {
    scaleX,
    scaleY,
    offsetX: size[0] / 2 - view.centre[0] * scaleX,
    offsetY: size[1] / 2 - view.centre[1] * scaleY,
  };
}

export function toScreen(p: Projection, [u, v]: Point): Point {
  return [u * p.scaleX + p.offsetX, v * p.scaleY + p.offsetY];
}

export function toPixel(p: Projection, [x, y]: Point): Point {
  return [(x - p.offsetX) / p.scaleX, (y - p.offsetY) / p.scaleY];
}

/** Return the view that shows all of a plane. */
export function wholeView(plane: Plane, shape: Index): View {
  const [width, height] = extentOf(plane, shape);
  return { centre: [width / 2, height / 2], zoom: 1 };
}

/** Return the view magnified by `factor` with the pixel under `at` staying where it is. */
export function zoomView(
  view: View,
  p: Projection,
  at: Point,
  size: Point,
  factor: number,
  [least, most]: readonly [number, number] = [0.5, 60],
): View {
  const zoom = clamp(view.zoom * factor, least, most);
  const [u, v] = toPixel(p, at);
  const ratio = view.zoom / zoom;
  const middle = toPixel(p, [size[0] / 2, size[1] / 2]);
  return { centre: [u + (middle[0] - u) * ratio, v + (middle[1] - v) * ratio], zoom };
}

/** Say whether a voxel is well inside what a view shows of its plane; without one all of it is shown. */
export function isInView(view: View | undefined, plane: Plane, shape: Index, index: Index): boolean {
  if (view === undefined) return true;
  const [u, v] = pixelOf(plane, shape, index);
  const [width, height] = extentOf(plane, shape);
  const near = (at: number, centre: number, side: number): boolean =>
    Math.abs(at + 0.5 - centre) * view.zoom < 0.45 * side;
  return near(u, view.centre[0], width) && near(v, view.centre[1], height);
}

/** Return the view moved by (dx, dy) CSS pixels. */
export function panView(view: View, p: Projection, dx: number, dy: number): View {
  return { centre: [view.centre[0] - dx / p.scaleX, view.centre[1] - dy / p.scaleY], zoom: view.zoom };
}

/** Return the RAS position of an index, in mm. */
export function toMm(affine: Affine, index: Index): readonly [number, number, number] {
  const at = (row: number): number =>
    affine[row][0] * index[0] + affine[row][1] * index[1] + affine[row][2] * index[2] + affine[row][3];
  return [at(0), at(1), at(2)];
}

/** Return the box of the voxels from one corner to the other, both inside. */
export function boxBetween(a: Index, b: Index): Box {
  const low: Index = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.min(a[2], b[2])];
  const high: Index = [Math.max(a[0], b[0]) + 1, Math.max(a[1], b[1]) + 1, Math.max(a[2], b[2]) + 1];
  return { low, high };
}

/** Return the voxels of a straight line, the first left out, so that lines can be joined. */
export function lineTo(from: Index, to: Index): Index[] {
  const steps = Math.max(...from.map((value, axis) => Math.abs(to[axis] - value)));
  return Array.from({ length: steps }, (_, i) => {
    const t = (i + 1) / steps;
    const at = (axis: Axis): number => Math.round(from[axis] + (to[axis] - from[axis]) * t);
    return [at(0), at(1), at(2)] as const;
  });
}

export function inside(shape: Index, index: Index): boolean {
  return index.every((value, axis) => Number.isInteger(value) && value >= 0 && value < shape[axis]);
}

export function sameIndex(a: Index, b: Index): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}

export function union(a: Box | null, b: Box): Box {
  if (a === null) return b;
  const pick = (f: typeof Math.min, p: Index, q: Index): Index => [f(p[0], q[0]), f(p[1], q[1]), f(p[2], q[2])];
  return { low: pick(Math.min, a.low, b.low), high: pick(Math.max, a.high, b.high) };
}

/** The part of a box that lies in one slice of a plane, as a rectangle of pixels; null when it misses the slice. */
export interface Rect {
  readonly u: number;
  readonly v: number;
  readonly width: number;
  readonly height: number;
}

export function rectOf(plane: Plane, shape: Index, slice: number, box: Box): Rect | null {
  if (slice < box.low[plane.normal] || slice >= box.high[plane.normal]) return null;
  const first = pixelOf(plane, shape, box.low);
  const last = pixelOf(plane, shape, [box.high[0] - 1, box.high[1] - 1, box.high[2] - 1]);
  const rect = {
    u: Math.min(first[0], last[0]),
    v: Math.min(first[1], last[1]),
    width: box.high[plane.right] - box.low[plane.right],
    height: box.high[plane.down] - box.low[plane.down],
  };
  return rect.width > 0 && rect.height > 0 ? rect : null;
}
