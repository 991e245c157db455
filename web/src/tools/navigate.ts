import { dragContrast } from "../contrast";
import { panView } from "../geometry";
import { seriesOf } from "../state";
import type { Press } from "./gesture";

/** Move the crosshair, and with it the slices of the other planes. */
export async function point({ pane, start, moves }: Press): Promise<void> {
  pane.actions.views.setCrosshair(pane.indexNear(start));
  for await (const move of moves()) pane.actions.views.setCrosshair(pane.indexNear(move));
}

/** Move the picture with the pointer. */
export async function pan({ pane, start, moves }: Press): Promise<void> {
  const { view, projection } = pane;
  for await (const move of moves()) {
    pane.view = panView(view, projection, move.clientX - start.clientX, move.clientY - start.clientY);
  }
}

/** Change the window by a drag to the sides and the level by one up or down. */
export async function level({ pane, start, moves }: Press): Promise<void> {
  const { contrast: from, image } = pane.actions.store.state;
  const { statistics } = seriesOf(pane.opened, image) ?? pane.opened;
  for await (const move of moves()) {
    const { clientX, clientY } = move;
    pane.actions.views.setContrast(dragContrast(from, statistics, clientX - start.clientX, clientY - start.clientY));
  }
}
