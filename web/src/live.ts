/**
 * The session's WebSocket: what the person does goes up, accepted positions, masks and answers come down.
 *
 * An event stays in the queue until the server says that it is recorded. When the connection breaks, the
 * queue is kept, a new connection is tried after 0.5 s, 1 s, 2 s and then every 4 s, and what the server
 * recorded meanwhile is taken out of the queue before the rest is sent: nothing is lost, nothing sent twice. The same
 * holds for what an earlier page has left of its queue.
 */

import type { Event, Session } from "./api";
import { unrecorded } from "./session";
import type { Part } from "./unsent";
import { type UncertaintyPatch, isUncertainty, type MaskPatch, readPatch } from "./wire";

export interface Answered {
  readonly position: number;
  readonly milliseconds: number;
  readonly quality: number | null;
  readonly finetuned: boolean;
  readonly withdrawn: boolean;
  readonly covered_by: number | null;
  readonly state: { readonly pending: readonly number[] };
}

/** Somebody who has the session open. */
export interface Person {
  readonly name: string;
  readonly colour: readonly [number, number, number];
  readonly you?: boolean;
}

export interface Handlers {
  /** The session as it stands: on every connection, and when another server changed it. */
  state(session: Session): void;
  /** The whole mask, once on every connection; outside its box it is empty. */
  map(patch: MaskPatch): void;
  ready(): void;
  lost(): void;
  queued(events: readonly Event[]): void;
  /** What is not recorded, whenever that changes, to be kept for another page. */
  keep(parts: readonly Part[]): void;
  /** An event is recorded; `own` when this page sent it. */
  accepted(event: Event, position: number, own: boolean): void;
  /** Who has this session open, this page among them. */
  people(people: readonly Person[]): void;
  patch(patch: MaskPatch): void;
  uncertainty(patch: UncertaintyPatch): void;
  answered(message: Answered): void;
  progress(position: number, fraction: number): void;
  error(message: string): void;
}

type Message =
  | { readonly type: "state"; readonly state: Session }
  | { readonly type: "accepted"; readonly id: number | null; readonly position: number; readonly event: Event }
  | ({ readonly type: "answered" } & Answered)
  | { readonly type: "people"; readonly people: readonly Person[] }
  | { readonly type: "progress"; readonly position: number; readonly fraction: number }
  | { readonly type: "error"; readonly id?: number | null; readonly message: string };

interface Sent {
  readonly id: number;
  readonly event: Event;
}

const RECORD_TIMEOUT_MS = 15_000; // ms for an event to be recorded before the connection is taken for dead

export class Live {
  #socket: WebSocket | null = null;
  #left: readonly Part[]; // by earlier pages, until the first state says what of it has arrived
  #queue: Sent[] = [];
  #ids = 0;
  #known = 0; // events that the server had when we last heard
  #failures = 0;
  #ready = false;
  #whole = false; // the next frame is the whole mask
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #inbox: Promise<void> = Promise.resolve(); // messages are handled one after the other

  constructor(
    readonly url: string,
    readonly handlers: Handlers,
    left: readonly Part[] = [],
  ) {
    this.#left = left;
    if (left.length > 0) this.#announce();
    this.#connect();
    window.addEventListener("online", this.#hurry);
  }

  /** Queue an event; it goes up at once when there is a connection. */
  send(event: Event): void {
    const sent = { id: (this.#ids += 1), event };
    this.#queue.push(sent);
    this.#announce();
    if (this.#ready) this.#post(sent);
  }

  /** Say who is here; to be said again on every connection. */
  introduce({ name, colour }: Person): void {
    if (this.#ready) this.#socket?.send(JSON.stringify({ id: (this.#ids += 1), here: { name, colour } }));
  }

  cancel(position: number): void {
    if (this.#ready) this.#socket?.send(JSON.stringify({ id: (this.#ids += 1), cancel: position }));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    window.removeEventListener("online", this.#hurry);
    this.#socket?.close();
  }

  /** Try a new connection now instead of when its turn comes. */
  readonly #hurry = (): void => {
    if (this.#socket !== null || this.#closed) return;
    clearTimeout(this.#timer);
    this.#connect();
  };

  retry(): void {
    this.#hurry();
  }

  #connect(): void {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      this.#inbox = this.#inbox
        .then(() => (socket === this.#socket ? this.#receive(data) : undefined))
        .catch(this.#failed);
    };
    socket.onclose = () => {
      this.#lost(socket);
    };
  }

  /** The first state of a connection says what of the queue has arrived; the rest is sent again. */
  #begin(session: Session): void {
    const left = this.#left.flatMap(({ known, events }) =>
      unrecorded(events.map(asEvent), session.events.slice(known)),
    );
    this.#left = [];
    this.#queue = [
      ...left.map(({ event }) => ({ id: (this.#ids += 1), event })),
      ...unrecorded(this.#queue, session.events.slice(this.#known)),
    ];
    this.#known = session.events.length;
    this.#failures = 0;
    this.#ready = true;
    this.#announce();
    this.handlers.ready();
    for (const sent of this.#queue) this.#post(sent);
  }

  readonly #failed = (error: unknown): void => {
    if (!this.#closed && this.#ready) this.handlers.error(error instanceof Error ? error.message : String(error));
  };

  #post(sent: Sent): void {
    this.#socket?.send(JSON.stringify(sent));
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#socket?.close(), RECORD_TIMEOUT_MS);
  }

  #lost(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#ready = false;
    clearTimeout(this.#patience);
    if (this.#closed) return;
    const wait = Math.min(4000, 500 * 2 ** this.#failures);
    this.#failures += 1;
    this.handlers.lost();
    this.#timer = setTimeout(() => {
      this.#connect();
    }, wait);
  }

  async #receive(data: string | ArrayBuffer): Promise<void> {
    if (this.#closed) return;
    if (data instanceof ArrayBuffer) {
      const patch = await readPatch(data);
      if (isUncertainty(patch)) {
        this.handlers.uncertainty(patch);
        return;
      }
      if (this.#whole) this.handlers.map(patch);
      else this.handlers.patch(patch);
      this.#whole = false;
      return;
    }
    const message = JSON.parse(data) as Message;
    switch (message.type) {
      case "state": {
        const first = !this.#ready;
        this.handlers.state(message.state);
        if (first) this.#begin(message.state);
        this.#known = message.state.events.length;
        this.#whole = first;
        break;
      }
      case "accepted":
        if (message.id !== null) this.#take(message.id);
        this.#known = Math.max(this.#known, message.position + 1);
        this.handlers.accepted(message.event, message.position, message.id !== null);
        this.#announce();
        break;
      case "answered":
        this.handlers.answered(message);
        break;
      case "people":
        this.handlers.people(message.people);
        break;
      case "progress":
        this.handlers.progress(message.position, message.fraction);
        break;
      case "error":
        if (typeof message.id === "number") this.#take(message.id);
        this.#announce();
        this.handlers.error(message.message);
        break;
    }
  }

  #take(id: number): Sent | undefined {
    const at = this.#queue.findIndex((sent) => sent.id === id);
    if (at < 0) return undefined;
    const [sent] = this.#queue.splice(at, 1);
    if (this.#queue.length === 0) clearTimeout(this.#patience);
    return sent;
  }

  #announce(): void {
    const waiting = this.#queue.map(({ event }) => event);
    this.handlers.queued([...this.#left.flatMap(({ events }) => events), ...waiting]);
    this.handlers.keep([...this.#left, { known: this.#known, events: waiting }]);
  }
}

const asEvent = (event: Event): { readonly event: Event } => ({ event });
