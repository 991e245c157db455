/** The tool, the method and what marks to come are made with. */

import * as api from "../api";
import { widthIn } from "../bits";
import { clamp } from "../geometry";
import { fill, nameOfPrompt, phrases } from "../phrases";
import { LEAST_MM, MOST_MM, type ReachKind, reachesOf } from "../reach";
import { activePlane, isPromptTool, type Store, type Tool, withMethod } from "../state";
import { toast } from "../toasts";

const SAY = phrases.actions;

export class Tools {
  constructor(private readonly store: Store) {}

  /** Choose how far the marks to come may change the mask. */
  setReach(reach: ReachKind): void {
    this.store.set({ reach });
  }

  setReachMm(mm: number): void {
    this.store.set({ reachMm: clamp(Math.round(mm), LEAST_MM, MOST_MM) });
  }

  /** Choose the next kind of reach, and say which it is. */
  stepReach(): void {
    const { opened, reach, reachMm } = this.store.state;
    const kinds = reachesOf(opened?.planes.length === 1);
    const next = kinds[(kinds.indexOf(reach) + 1) % kinds.length];
    this.setReach(next);
    toast(next === "near" ? fill(phrases.reach.nearSaid, { mm: reachMm }) : phrases.reach[next]);
  }

  /** Say whether marks to come may take voxels of other labels; each is recorded with it. */
  setOverwrite(overwrite: boolean): void {
    this.store.set({ overwrite });
  }

  setTool(tool: Tool): void {
    const { methods, method } = this.store.state;
    const card = methods.find(({ id }) => id === method);
    if (isPromptTool(tool) && card !== undefined && !card.prompts.includes(tool)) {
      toast(fill(SAY.takesNo, { method: card.title, prompt: nameOfPrompt(tool) }));
      return;
    }
    this.store.set({ tool, points: [], cut: [], leg: null });
  }

  setMethod(method: string): void {
    this.store.set(withMethod(this.store.state, method));
  }

  /** Say whether the method may learn this image from the marks to come; each is recorded with it. */
  setFinetune(finetune: api.Finetune): void {
    this.store.set({ finetune });
  }

  setRadius(radius: number): void {
    this.store.set({ radius: clamp(Math.round(radius), 1, 100) });
  }

  /** Make strokes and brushes a quarter as wide as the selected label's mask in the slice in view. */
  fitRadius(): void {
    const { opened, label, labels, crosshair } = this.store.state;
    const plane = activePlane(this.store.state);
    if (opened === null || plane === null) return;
    const width = widthIn(opened.maps.ofLabel(labels, label), label, plane.normal, crosshair[plane.normal]);
    if (width === null) toast(SAY.nothingToFit);
    else this.setRadius(width / 8);
  }
}
