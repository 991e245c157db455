/** Files become cases, or images beside the open one. */

import * as api from "../api";
import { fill, phrases, plural } from "../phrases";
import { may } from "../rights";
import type { Store } from "../state";
import { toast } from "../toasts";
import { leftOut } from "../worklist";
import type { Cases } from "./cases";
import { whileSending } from "./sending";
import type { Worklist } from "./worklist";

const SAY = phrases.actions;

export class Adding {
  constructor(
    private readonly store: Store,
    private readonly worklist: Worklist,
    private readonly cases: Cases,
  ) {}

  /** Upload files as new cases and open the first. */
  async addCases(uploads: readonly api.Upload[]): Promise<void> {
    if (uploads.length === 0) return;
    const what = uploads.length === 1 ? uploads[0].name : plural(SAY.files, uploads.length);
    await this.#adding(fill(SAY.uploading, { what }), (sent) => api.addCases(uploads, this.#projectToAddTo(), sent));
  }

  async linkCase(path: string): Promise<void> {
    await this.#adding(fill(SAY.reading, { what: path }), () => api.linkCase(path, this.#projectToAddTo()));
  }

  /** Return the project that the list shows, else the usual one, or the first that this person may add to. */
  #projectToAddTo(): string {
    const { me } = this.store.state;
    const shown = this.worklist.list.query.value.project;
    if (shown !== "" || may(me, "reviewer", "default")) return shown;
    return Object.keys(me.projects).find((project) => may(me, "reviewer", project)) ?? "";
  }

  async #adding(text: string, add: (sent: api.Sent) => Promise<api.Uploaded>): Promise<void> {
    const { cases, left_out, left_out_count, copies } = await whileSending(this.store, text, add);
    const first = cases.at(0);
    if (first === undefined) return;
    const added = cases.length === 1 ? fill(SAY.added, { name: first.name }) : plural(SAY.addedCases, cases.length);
    toast(added, "good");
    const missing = leftOut(left_out, left_out_count);
    if (missing !== null) toast(missing, "error");
    for (const copy of copies.slice(0, 2)) toast(copy);
    await this.cases.open(first.id);
    await this.worklist.list.loadChoices();
    if (!(await this.worklist.list.loadWith(first.id))) toast(SAY.allAgain);
    this.store.set({ cases: this.worklist.list.known });
  }

  /** Show other scans beside the open case's image. */
  async addSeries(uploads: readonly api.Upload[]): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null || uploads.length === 0) return;
    const id = opened.case.id;
    const what = uploads.length === 1 ? uploads[0].name : plural(SAY.files, uploads.length);
    const added = await whileSending(this.store, fill(SAY.uploading, { what }), (sent) =>
      api.addSeries(id, uploads, sent),
    );
    toast(fill(SAY.beside, { names: added.map(({ name }) => name).join(phrases.common.comma) }), "good");
    if (this.store.state.opened === opened) await this.cases.open(id, opened.planes.length > 1 ? "series" : undefined);
  }

  /** Take a series away that is shown beside the open case's image. */
  async removeSeries(series: string): Promise<void> {
    const { opened } = this.store.state;
    if (opened === null) return;
    await api.removeSeries(opened.case.id, series);
    if (this.store.state.opened === opened) await this.cases.open(opened.case.id);
  }
}
