/** What the pages of the administration ask the server, and how they say what it tells. */

import * as api from "./api";
import { isolated, phrases } from "./phrases";
import type { components } from "./schema";
import { fixed } from "./words";

type Schemas = components["schemas"];
export type Person = Schemas["PersonJson"];
export type Entry = Schemas["EntryJson"];
export type Checked = Schemas["AuditCheckJson"];
export type OfPatient = Schemas["OfPatientJson"];
export type Forgotten = Schemas["ForgottenJson"];
export type Retention = Schemas["RetentionJson"];
export type Usage = Schemas["UsageJson"];
export type Profile = NonNullable<Schemas["NewAnonymiseJson"]["profile"]>;

const put = (body: unknown): RequestInit => ({ ...api.post(body), method: "PUT" });
const REMOVED: RequestInit = { method: "DELETE" };
const personAt = (name: string, what: string): string => `api/people/${encodeURIComponent(name)}/${what}`;

export const everybody = (): Promise<Person[]> => api.read("api/people");
export const invite = (name: string, role: api.Role, project: string | null): Promise<api.Invitation> =>
  api.read("api/people", api.post({ name, role, project }));
export const inviteAgain = (name: string): Promise<api.Invitation> =>
  api.read(personAt(name, "invitation"), api.post({}));
export const setRole = (name: string, role: api.Role | null): Promise<Person> =>
  api.read(personAt(name, "role"), put({ role }));
export const setDisabled = (name: string, disabled: boolean): Promise<Person> =>
  api.read(personAt(name, "disabled"), put({ disabled }));
export const drawToken = (name: string): Promise<Schemas["TokenJson"]> =>
  api.read(personAt(name, "token"), { method: "POST" });
export const removeToken = (name: string): Promise<Person> => api.read(personAt(name, "token"), REMOVED);
export const endLogins = (name: string): Promise<Schemas["EndedJson"]> => api.read(personAt(name, "logins"), REMOVED);

export const audit = async (asked: URLSearchParams): Promise<readonly Entry[]> =>
  (await api.read<Schemas["AuditJson"]>(`api/audit?${asked.toString()}`)).entries;
export const auditTable = (asked: URLSearchParams): string => api.address(`api/audit.csv?${asked.toString()}`);
export const checkAudit = (head: string): Promise<Checked> =>
  api.read(`api/audit/check?${new URLSearchParams(head === "" ? {} : { head }).toString()}`);

export const findPatient = (patient: string): Promise<OfPatient> =>
  api.read("api/forgetting/search", api.post({ patient }));
export const forgetPatient = (patient: string, cases: readonly string[]): Promise<Forgotten> =>
  api.read("api/forgetting", api.post({ patient, cases }));
const retentionOf = (project: string): string => `api/projects/${encodeURIComponent(project)}/retention`;
export const retentionIf = (project: string, days: number): Promise<Retention> =>
  api.read(`${retentionOf(project)}?days=${days}`);
export const setRetention = (project: string, days: number | null): Promise<Retention> =>
  api.read(retentionOf(project), put({ days }));
export const usage = (): Promise<Usage> => api.read("api/usage");
export const limitPerson = (name: string, most: number | null): Promise<Usage> =>
  api.read(personAt(name, "limit"), put({ bytes: most }));
export const limitProject = (name: string, most: number | null): Promise<Usage> =>
  api.read(`api/projects/${encodeURIComponent(name)}/limit`, put({ bytes: most }));
export const setAnonymise = (project: string, profile: Profile | null): Promise<Usage> =>
  api.read(`api/projects/${encodeURIComponent(project)}/anonymise`, put({ profile }));

/** What entries of the audit are searched by; empty: it does not matter. */
export interface Search {
  readonly person: string;
  readonly action: string;
  readonly project: string;
  readonly case: string;
  readonly patient: string;
  readonly since: string; // as a field for a local time has it
  readonly until: string;
}
export const ALL: Search = { person: "", action: "", project: "", case: "", patient: "", since: "", until: "" };

/** Return what the server is asked for, times in UTC. */
export function askedOf(search: Search): URLSearchParams {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(search) as [keyof Search, string][]) {
    const said = value.trim();
    if (said !== "") asked.set(name, name === "since" || name === "until" ? new Date(said).toISOString() : said);
  }
  return asked;
}

/** Return a number of bytes for people: `2.5 MB`. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, n < 1000 ? 0 : Math.floor(Math.log10(n) / 3));
  const value = n / 1000 ** step;
  return isolated(`${step === 0 ? String(n) : fixed(value, value < 10 ? 1 : 0)} ${units[step]}`);
}

/** Return what somebody may keep as a field for gigabytes has it; empty: nothing is set. */
export function gigabytes(most: number | null): string {
  return most === null ? "" : String(most / 1e9);
}

/** Return the bytes that a field for gigabytes says; null: it is empty. */
export function bytesIn(field: string): number | null {
  return field.trim() === "" ? null : Math.round(Number(field) * 1e9);
}

/** Return what an entry says beside who, what and where: `of: eve, role: reviewer`. */
export function detailOf(entry: Entry): string {
  const plain = (value: unknown): string =>
    Array.isArray(value) ? value.map(plain).join(" ") : typeof value === "string" ? value : JSON.stringify(value);
  return Object.entries(entry.detail)
    .map(([name, value]) => `${name}: ${plain(value)}`)
    .join(", ");
}

/** Return a time to the second, as the person's clock has it. */
export function localTime(at: string): string {
  const time = new Date(at);
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/** Return what can be said of somebody's ways in. */
export function waysOf(one: Person): string {
  const { password, token, provider, noWay } = phrases.admin;
  const ways = [one.password && password, one.token && token, one.provider && provider];
  const there = ways.filter((way) => way !== false);
  return there.length === 0 ? noWay : there.join(phrases.common.comma);
}

/** Return the proof as a file's text and name. */
export function proofFile(done: Forgotten): { readonly text: string; readonly name: string } {
  const { made, forgotten } = done;
  return { text: `${JSON.stringify({ made, forgotten }, null, 2)}\n`, name: `forgotten-${made.slice(0, 10)}.json` };
}
