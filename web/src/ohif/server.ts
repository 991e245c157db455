/** Segmend's server, as the extension asks it: at the address that its own file came from, with a token where it wants one. */

import { sentenceIn } from "../api";
import type { Affine, Index } from "../geometry";
import { phrases } from "../phrases";

export interface Opened {
  readonly case: string;
  readonly session: string;
  readonly shape: Index;
  readonly affine: Affine;
  readonly slices: readonly (readonly [string, number])[]; // the file and the frame of each; no file: it is between two
  readonly method: string;
  readonly calibrated: boolean; // the Dice that the method expects is known to be near the true one here
  readonly prompts: readonly string[];
  readonly archives: readonly string[];
}

export interface Import {
  readonly id: string;
  readonly stage: "waiting" | "fetching" | "reading" | "done" | "failed" | "cancelled";
  readonly files: number;
  readonly error: string;
}

export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const TOKEN = "segmend-token"; // in sessionStorage: it is gone with the tab

export class Server {
  #token = sessionStorage.getItem(TOKEN) ?? "";

  constructor(readonly base: string) {}

  /** Name a token from now on. */
  enter(token: string): void {
    this.#token = token;
    sessionStorage.setItem(TOKEN, token);
  }

  async ask(path: string, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = this.#token === "" ? {} : { Authorization: `Bearer ${this.#token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const method = body === undefined ? "GET" : "POST";
    let reply: Response;
    try {
      const sent = body === undefined ? null : JSON.stringify(body);
      reply = await fetch(new URL(path, this.base), { method, headers, body: sent, credentials: "omit" });
    } catch {
      throw new Refused(phrases.errors.unreachable, 0);
    }
    if (!reply.ok) throw new Refused(sentenceIn(await reply.text(), reply.status), reply.status);
    return reply;
  }

  async open(study: string, series: string, instance: string): Promise<Opened | Import> {
    return (await (await this.ask("ohif/open", { study, series, instance })).json()) as Opened | Import;
  }

  async read<T>(path: string): Promise<T> {
    return (await (await this.ask(path)).json()) as T;
  }

  async send<T>(path: string, body: unknown): Promise<T> {
    return (await (await this.ask(path, body)).json()) as T;
  }

  /** The address of a session's live connection. */
  live(session: string): string {
    const url = new URL(`api/sessions/${session}/live`, this.base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.#token !== "") url.searchParams.set("token", this.#token);
    return url.href;
  }

  /** The address of a case in the annotator. */
  annotator(caseId: string): string {
    return new URL(`#case=${caseId}`, this.base).href;
  }
}
