/** The session of the open case: what is sent to be recorded, and what comes back. */

import * as api from "../api";
import { changeOf as wordsOfEdit, describeEdit } from "../edits";
import { withAnswer } from "../enough";
import { newLabel } from "../labels";
import { type Answered, type Handlers, Live, type Person } from "../live";
import { covering, isCalibrated } from "../look";
import { me, setName } from "../people";
import { fill, phrases, plural } from "../phrases";
import { RulerSteps } from "../rulersteps";
import { fold, opening, same } from "../session";
import { finetuneOf, type Opened, type Store } from "../state";
import { reportErrors, toast } from "../toasts";
import { type Part, Unsent } from "../unsent";
import type { Mask } from "./mask";
import type { Worklist } from "./worklist";

const SAY = phrases.actions;

export class Session {
  #live: Live | null = null;
  readonly others = new Set<number>(); // positions of events of the open session that another page or program sent
  readonly #asked = new Set<number>(); // positions of events that the server made because this page asked it to
  readonly takenBack = new Set<number>(); // marks that this page took away by an undo
  readonly rulerSteps = new RulerSteps();
  readonly unsent = new Unsent();
  opening: AbortController | null = null; // what is fetched of the case, or of a field of view, that is open or will be

  constructor(
    private readonly store: Store,
    private readonly worklist: Worklist,
    private readonly mask: Mask,
  ) {}

  /** Send an event to be recorded; one that cannot be sent now waits. */
  send(event: api.Event): void {
    this.#live?.send(event);
  }

  /** Take for this page's own, so that undo takes it back, what the server did for it since the log had so many events. */
  own(since: number, { done }: Pick<api.Session, "done">): void {
    for (const position of done.filter((one) => one >= since)) {
      this.#asked.add(position);
      this.others.delete(position);
    }
  }

  /** Leave the session, and forget what was done in it. */
  disconnect(): void {
    this.#live?.close();
    this.#live = null;
    this.others.clear();
    this.#asked.clear();
    this.takenBack.clear();
    this.rulerSteps.forget();
  }

  /** Close the open case. */
  close(): void {
    this.opening?.abort();
    this.store.state.opened?.onSlide?.tiles.close();
    this.disconnect();
    this.store.set({
      opened: null,
      slide: null,
      people: [],
      work: null,
      labels: [],
      events: [],
      done: [],
      undone: [],
      pending: [],
      unsent: [],
      connection: "none",
      loading: null,
      answering: null,
      answered: null,
      qualities: {},
      uncertaintyOf: null,
      uncertainPlace: null,
      ring: null,
      hovered: null,
      pointer: null,
      preview: null,
      robot: null,
    });
  }

  /** Follow the session of a case, with events that a closed tab has left for it. */
  connect(opened: Opened, left: readonly Part[]): void {
    const store = this.store;
    const handlers: Handlers = {
      state: (session) => {
        this.mask.forgetUncertainty(opened); // the server tells it again when it still holds
        this.#adopt(session.events, session.pending);
        this.#resume(opened, session.events);
        if (session.events.length === 0 && this.store.state.unsent.length === 0) {
          this.send({ event: "defined", label: newLabel(1), joined: false });
          store.set({ label: 1, positive: true });
        }
      },
      map: (patch) => {
        opened.maps.clear();
        opened.maps.of(patch.layer).apply(patch);
        this.mask.changed(null);
      },
      ready: () => {
        store.set({ connection: "live", refused: null });
        this.#live?.introduce(me());
      },
      lost: () => {
        store.set({ connection: "lost", answering: null, people: [] });
        this.#leaveIfGone(opened);
      },
      queued: (unsent) => {
        store.set({ unsent });
      },
      keep: (parts) => {
        this.unsent.save(opened.session, opened.case.id, parts);
      },
      accepted: (event, position, own) => {
        if (!own && !this.#asked.has(position)) this.others.add(position);
        this.#accepted(event, position);
      },
      people: (people) => {
        this.#greet(people);
      },
      patch: (patch) => {
        this.mask.paint(opened, patch);
      },
      uncertainty: (patch) => {
        this.mask.uncertainty(opened, patch);
      },
      answered: (message) => {
        this.#answered(opened, message);
      },
      progress: (_, answering) => {
        store.set({ answering });
      },
      error: (message) => {
        this.#refresh(opened).then(
          () => {
            toast(message, "error");
          },
          (error: unknown) => {
            if (!this.#leave(opened, error)) toast(message, "error");
          },
        );
      },
    };
    this.#live = new Live(api.liveAddress(opened.session), handlers, left);
  }

  /** A session that the server no longer has, or no longer shows us, is closed instead of waited for. */
  #leaveIfGone(opened: Opened): void {
    api.session(opened.session).catch((error: unknown) => this.#leave(opened, error));
  }

  /** Close the case when an error says that its session is gone, and say what is lost with it; true when it is. */
  #leave(opened: Opened, error: unknown): boolean {
    const status = error instanceof api.ApiError ? error.status : 0;
    if (status === api.UNKNOWN && error instanceof Error) {
      this.store.set({ refused: error.message }); // the case stays open: its marks can be sent after the next login
      return false;
    }
    if (status < 400 || status >= 500) return false;
    const { state } = this.store;
    if (state.opened !== opened) return true;
    const count = state.unsent.length;
    this.close();
    history.replaceState(null, "", " ");
    const what = status === api.GONE ? fill(SAY.deleted, { name: opened.case.name }) : (error as Error).message;
    toast(count === 0 ? what : `${what} ${plural(SAY.notSavedMarks, count)}`, "error", {});
    reportErrors(() => Promise.all([this.worklist.refresh(), this.unsent.forget(opened.session)]));
    return true;
  }

  /** Read the events again, when others may have added some. */
  async #refresh(opened: Opened): Promise<void> {
    const session = await api.session(opened.session);
    if (this.store.state.opened === opened) this.#adopt(session.events, session.pending);
  }

  #adopt(events: readonly api.Event[], pending: readonly number[]): void {
    if (this.store.state.robot !== null) this.store.set({ robot: null }); // it played for the mask as it stood
    if (this.store.state.preview !== null) this.store.set({ preview: null }); // it was of the mask as it stood
    const { done, undone, labels, locked } = fold(events);
    const { label, unsent, labels: before } = this.store.state;
    const fresh = done.length === this.#begunOf(events, done); // with the labels of its project, the first of them to begin with
    const usual = fresh ? labels.at(0) : labels.at(-1);
    const coming = unsent.some((event) => event.event === "defined" && event.label.value === label);
    const selected = coming || labels.some(({ value }) => value === label) ? label : (usual?.value ?? 0);
    const known = same(labels, before) ? before : labels; // what shows labels has nothing to do for most events
    this.store.set({ events, done, undone, labels: known, locked, pending, label: selected });
  }

  /** Take up finetuning as it was in the session, once a case. */
  #resume(opened: Opened, events: readonly api.Event[]): void {
    if (opened.resumed) return;
    opened.resumed = true;
    this.store.set({ finetune: finetuneOf(events) });
  }

  #accepted(event: api.Event, position: number): void {
    const { events, pending, opened } = this.store.state;
    if (position !== events.length) {
      if (opened !== null) reportErrors(() => this.#refresh(opened));
      return;
    }
    const waits = ["prompted", "edited", "removed", "deleted"].includes(event.event);
    this.#adopt([...events, event], waits ? [...pending, position] : pending);
    if (waits) this.store.set({ answered: null });
    if (!["prompted", "defined", "ordered", "slices_locked"].includes(event.event)) this.store.set({ qualities: {} });
    if (event.event === "edited") this.mask.changes = { gained: 0, lost: 0 };
    if (event.event !== "undone" && event.event !== "redone") this.rulerSteps.goOn();
    if (!["defined", "ordered", "slices_locked"].includes(event.event)) this.mask.forgetUncertainty(opened); // it was of the mask as it stood
    const { label, labels, unsent } = this.store.state;
    const coming = unsent.some((other) => other.event === "defined" && other.label.value === label);
    if (event.event === "defined" && !coming && !labels.some(({ value }) => value === label)) {
      this.store.set({ label: event.label.value, positive: true });
    }
  }

  #answered(opened: Opened, message: Answered): void {
    const { position, milliseconds, quality, finetuned, withdrawn, state } = message;
    const event = this.store.state.events.at(position);
    const asked = event?.event === "prompted" || event?.event === "edited" || event?.event === "removed";
    const answered = withdrawn ? null : asked ? { milliseconds, quality, finetuned } : this.store.state.answered;
    if (event?.event === "edited" && event.edit.kind !== "paint" && !withdrawn) {
      const { gained, lost } = this.mask.changes;
      toast(wordsOfEdit(describeEdit(event.edit, this.store.state.labels), gained, lost));
    }
    this.store.set({ pending: state.pending, answering: null, answered });
    if (event?.event === "prompted" && !withdrawn) {
      const { methods, qualities } = this.store.state;
      const known = isCalibrated(methods, event.method, opened.volume.shape[0] === 1) ? quality : null;
      this.store.set({ qualities: withAnswer(qualities, event.label, known) });
    }
    const marked = event?.event === "prompted" || event?.event === "edited";
    if (marked && !withdrawn) this.#tellCovered(opened, event, message.covered_by);
    if (position >= this.store.state.events.length) reportErrors(() => this.#refresh(opened));
  }

  /** Say that another label lies where a mark was put down, and keeps its voxels. */
  #tellCovered(opened: Opened, event: api.Prompted | api.Edited, coveredBy: number | null): void {
    const { labels, label } = this.store.state;
    const there =
      coveredBy ?? (event.event === "prompted" ? covering(event, opened.maps.ofLabel(labels, event.label)) : null);
    const other = labels.find(({ value }) => value === there);
    if (other === undefined || event.label !== label) return;
    toast(fill(SAY.covered, { name: other.name, remedy: other.locked ? SAY.unlockFirst : SAY.switchOn }), "error");
  }

  /** Be known to the others by another name. */
  rename(name: string): void {
    setName(name);
    this.#live?.introduce(me());
  }

  /** Say who came and who left. */
  #greet(people: readonly Person[]): void {
    const before = this.store.state.people;
    this.store.set({ people });
    const names = (some: readonly Person[]): string[] => some.filter(({ you }) => !you).map(({ name }) => name);
    const [had, has] = [names(before), names(people)];
    if (has.length > had.length) {
      const came = before.length === 0 ? has : has.slice(-1);
      const { cameOne, cameMany } = phrases.people;
      toast(fill(came.length > 1 ? cameMany : cameOne, { names: came.join(phrases.common.and) }));
    }
  }

  /** Return how many of the events in effect the session began with: its labels, and of a field of view its mask. */
  begun(): number {
    const { events, done } = this.store.state;
    return this.#begunOf(events, done);
  }

  #begunOf(events: readonly api.Event[], done: readonly number[]): number {
    const begun = this.store.state.opened?.onSlide?.field.begun ?? 0;
    return Math.max(opening(events, done), done.filter((position) => position < begun).length);
  }

  cancel(): void {
    for (const position of this.store.state.pending) this.#live?.cancel(position);
  }

  reconnect(): void {
    this.#live?.retry();
  }
}
