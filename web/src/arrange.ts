/** Which pictures lie side by side: pure functions from a layout to its panes. */

import type { Index, Plane, PlaneName, View } from "./geometry";
import { phrases } from "./phrases";

export const LAYOUTS = ["grid", "main", "rows", "columns", "series", "axial", "coronal", "sagittal", "render"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** The layouts with several panes, with what the page calls them. */
export const SEVERAL: readonly (readonly [Layout, string])[] = named("grid", "main", "rows", "columns", "series");
export const ALONE: readonly (readonly [Layout, string])[] = named("axial", "coronal", "sagittal", "render");

function named(...layouts: Layout[]): readonly (readonly [Layout, string])[] {
  return layouts.map((layout) => [layout, phrases.layouts[layout]]);
}

/** One pane of a layout. */
export interface Spec {
  readonly id: string; // of its view: the plane's name, with the image's number where it shows one of its own
  readonly plane: PlaneName | "render";
  readonly image: number | null; // null: the one that is chosen, whichever it is
}

const slices = (plane: PlaneName, image: number | null = null): Spec => ({
  id: image === null ? plane : `${plane}:${image}`,
  plane,
  image,
});
const RENDER: Spec = { id: "render", plane: "render", image: null };

/** Say whether a layout shows several panes. */
export const isSeveral = (layout: Layout): boolean => SEVERAL.some(([name]) => name === layout);

/** Return the panes of a layout in their order, the large one first; `main` is the plane that is large or shown of each series. */
export function arrange(
  layout: Layout,
  planes: readonly PlaneName[],
  images: readonly (number | null)[],
  main: PlaneName,
): readonly Spec[] {
  if (planes.length === 1 && layout !== "series") return [slices(planes[0])];
  const first = planes.includes(main) ? main : planes[0];
  switch (layout) {
    case "grid":
      return [...planes.map((plane) => slices(plane)), RENDER];
    case "main":
      return [first, ...planes.filter((plane) => plane !== first)].map((plane) => slices(plane));
    case "rows":
    case "columns":
      return planes.map((plane) => slices(plane));
    case "series":
      return images.length === 1 ? [slices(first)] : images.map((image) => slices(first, image));
    case "render":
      return [RENDER];
    default:
      return [slices(layout)];
  }
}

/** Return the rows and columns that panes are laid in. */
export function gridOf(layout: Layout, panes: number): { readonly rows: number; readonly columns: number } {
  if (panes === 1) return { rows: 1, columns: 1 };
  if (layout === "rows") return { rows: panes, columns: 1 };
  if (layout === "columns" || (layout === "series" && panes <= 3)) return { rows: 1, columns: panes };
  const columns = Math.ceil(Math.sqrt(panes));
  return { rows: Math.ceil(panes / columns), columns };
}

/** Return the plane that a pane of this id shows. */
export function planeOfView(id: string, planes: readonly Plane[]): Plane | undefined {
  return planes.find(({ name }) => name === id.split(":")[0]);
}

const MOST_ZOOM = 60;
const LEAST_ZOOM = 0.5;

/** Return the view of `plane` after the view of another one, `from`, changed: magnified as much, with the same place in the middle. */
export function followView(view: View, plane: Plane, from: Plane, before: View, after: View, shape: Index): View {
  const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, (view.zoom * after.zoom) / before.zoom));
  const turn = (at: number, axis: 0 | 1 | 2, flipped: boolean): number => (flipped ? shape[axis] - at : at);
  const coordinate = (axis: 0 | 1 | 2, own: number, flipped: boolean): number => {
    if (axis === from.right) return turn(turn(after.centre[0], axis, from.flipRight), axis, flipped);
    if (axis === from.down) return turn(turn(after.centre[1], axis, from.flipDown), axis, flipped);
    return own;
  };
  return {
    centre: [
      coordinate(plane.right, view.centre[0], plane.flipRight),
      coordinate(plane.down, view.centre[1], plane.flipDown),
    ],
    zoom,
  };
}
