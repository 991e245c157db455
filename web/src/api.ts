/** The server's REST interface; every failure is an ApiError with one sentence for a person. */

import { fill, phrases } from "./phrases";
import type { components } from "./schema";
import { type MaskPatch, readPatch } from "./wire";

type Schemas = components["schemas"];
export type Health = Schemas["HealthJson"];
export type Method = Schemas["MethodJson"];
export type Format = Schemas["FormatJson"];
export type Patient = "anonymous" | "keep"; // does a DICOM mask say whose it is
export type Case = Schemas["CaseJson"];
export type Status = Case["status"];
export type Totals = Schemas["TotalsJson"];
export type CasePage = Schemas["CasePageJson"];
export type Choices = Schemas["ChoicesJson"];
export type Uploaded = Schemas["UploadedJson"];
export type Loaded = Schemas["LoadedJson"];
export type Taken = Schemas["TakenJson"];
export type Label = Schemas["LabelJson"];
export type Codes = Schemas["CodesJson"];
export type TemplateLabel = Schemas["TemplateLabelJson"];
export type Project = Schemas["ProjectJson"];
export type Structure = Schemas["StructureJson"];
export type SeriesInfo = Schemas["SeriesJson"];
export type Event = Schemas["EventJson"];
export type Prompted = Extract<Event, { event: "prompted" }>;
export type Edited = Extract<Event, { event: "edited" }>;
export type Finetune = Schemas["PromptedJson"]["finetune"];
export type Prompt = Schemas["PromptedJson"]["prompt"];
export type Edit = Schemas["EditedJson"]["edit"];
export type Reach = Schemas["ReachJson"];
export type Session = Schemas["StateJson"];
export type Uncertain = Schemas["UncertainPlaceJson"];
export type Slide = Schemas["SlideJson"];
export type FieldOfView = Schemas["FieldOfViewJson"];
export type Measures = Schemas["MeasuresJson"];
export type RobotStep = Schemas["RobotStepJson"];
export type Me = Schemas["MeJson"];
export type Role = NonNullable<Me["everywhere"]>;
export type Member = Schemas["MemberJson"];
export type Invitation = Schemas["InvitationJson"];
export type CaseReading = NonNullable<Case["reading"]>;
export type Read = Schemas["ReadJson"];
export type Reader = Schemas["ReaderJson"];
export type Plan = Schemas["PlanJson"];
export type Given = Schemas["GivenJson"];
export type Difference = Schemas["DifferenceJson"];
export type Agreement = Schemas["AgreementJson"];
export type Comment = Schemas["CommentJson"];
export type SessionInfo = Schemas["SessionJson"];

export const UNKNOWN = 401; // the status of a reply to who is not known to the server
export const GONE = 404; // and of one about what is no longer there

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const UNREACHABLE = phrases.errors.unreachable;

/** The address of something on the server that serves this page, wherever it is mounted. */
export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}

export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let reply: Response;
  try {
    reply = await fetch(address(path), options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE, 0);
  }
  if (!reply.ok) throw new ApiError(await sentence(reply), reply.status);
  return reply;
}

async function sentence(reply: Response): Promise<string> {
  return sentenceIn(await reply.text(), reply.status);
}

/** Return the one sentence of an error's body; the status where the body has none. */
export function sentenceIn(text: string, status: number): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (typeof detail === "string") return detail;
  } catch {
    // not JSON: a proxy's page, say
  }
  return fill(phrases.errors.status, { status });
}

export async function read<T>(path: string, options: RequestInit = {}): Promise<T> {
  return (await (await request(path, options)).json()) as T;
}

export const post = (body: unknown): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
});

export const health = (): Promise<Health> => read("api/health");
export const methods = (): Promise<Method[]> => read("api/methods");
export const formats = (): Promise<Format[]> => read("api/formats");
export const casePage = (asked: URLSearchParams): Promise<CasePage> => read(`api/cases?${asked.toString()}`);
export const choices = (): Promise<Choices> => read("api/cases/choices");
export const oneCase = (id: string): Promise<Case> => read(`api/cases/${id}`);
export const nextCase = (id: string, asked: URLSearchParams): Promise<Case | null> =>
  read(`api/cases/${id}/next?${asked.toString()}`);
export const projects = (): Promise<Project[]> => read("api/projects");
export const setFirstMasks = (name: string, method: string | null, dice: number | null): Promise<Project> =>
  read(`api/projects/${encodeURIComponent(name)}/first-masks`, { ...post({ method, dice }), method: "PUT" });
export const firstMasks = (session: string): Promise<Session> =>
  read(`api/sessions/${session}/first-masks`, { method: "POST" });
export const setTemplate = (name: string, labels: readonly TemplateLabel[]): Promise<Project> =>
  read(`api/projects/${encodeURIComponent(name)}/template`, { ...post({ labels }), method: "PUT" });

/** Return organs, tissues and lesions whose names have words that begin so, with their codes. */
export const structures = (text: string): Promise<Structure[]> =>
  read(`api/structures?${new URLSearchParams({ q: text }).toString()}`);

export const series = (id: string): Promise<SeriesInfo[]> => read(`api/cases/${id}/series`);
export const addSeries = (id: string, uploads: readonly Upload[], sent: Sent): Promise<SeriesInfo[]> =>
  upload<SeriesInfo[]>(`api/cases/${id}/series`, uploads, sent);

export async function removeSeries(id: string, series: string): Promise<void> {
  await request(`api/cases/${id}/series/${series}`, { method: "DELETE" });
}

/** Make one time of a case a case of its own. */
export const addFrame = (id: string, frame: number): Promise<Case> =>
  read(`api/cases/${id}/frames/${frame}`, { method: "POST" });

/** What may be said of a case. */
export type Verdict = "done" | "rejected" | "accepted";
export const setStatus = (id: string, status: Verdict | "open", comment: string): Promise<Case> =>
  read(`api/cases/${id}/status`, { ...post({ status, comment }), method: "PUT" });
export const linkCase = (path: string, project: string): Promise<Uploaded> =>
  read("api/cases/link?report=true", post({ path, ...(project === "" ? {} : { project }) }));
export const sessions = (id: string): Promise<SessionInfo[]> => read(`api/cases/${id}/sessions`);
export const addSession = (id: string): Promise<Session> => read(`api/cases/${id}/sessions`, { method: "POST" });
export const session = (id: string): Promise<Session> => read(`api/sessions/${id}`);

/** Return what an event would change, without making it. */
export const preview = (id: string, event: Event): Promise<MaskPatch> => frame(`api/sessions/${id}/preview`, event);

/** Return what another method makes of a label's marks. */
export const compare = (id: string, label: number, method: string): Promise<MaskPatch> =>
  frame(`api/sessions/${id}/compare`, { label, method });

/** What a robot has played so far, for the label whose mask is right. */
export interface Game {
  readonly label: number;
  readonly method: string;
  readonly prompts: readonly Prompt[];
  readonly mask: RobotStep["mask"] | null;
}

/** Return the next mark of a robot that knows a label's right mask, and what a method makes of it. */
export const robot = (id: string, game: Game): Promise<RobotStep> => read(`api/sessions/${id}/robot`, post(game));

async function frame(path: string, body: unknown): Promise<MaskPatch> {
  const reply = await request(path, post(body));
  return (await readPatch(await reply.arrayBuffer())) as MaskPatch;
}

export const uncertain = (id: string, rank: number): Promise<Uncertain> =>
  read(`api/sessions/${id}/uncertain?rank=${rank}`);

/** Return what is measured of a session's labels; null when that version still holds. */
export async function measures(id: string, since: string): Promise<Measures | null> {
  const reply = await request(`api/sessions/${id}/measures?${new URLSearchParams({ since }).toString()}`);
  return reply.status === 204 ? null : ((await reply.json()) as Measures);
}

/** Return the surface of a label, as the server packs it, and what names its voxels; null where those are `since`. */
export async function surface(
  id: string,
  label: number,
  since: string,
): Promise<{ content: ArrayBuffer; tag: string } | null> {
  const reply = await request(`api/sessions/${id}/surfaces/${label}?${new URLSearchParams({ since }).toString()}`);
  if (reply.status === 204) return null;
  const tag = reply.headers.get("ETag")?.replaceAll('"', "") ?? "";
  return { content: await reply.arrayBuffer(), tag };
}

/** Return who is at this page, and what they may. */
export const me = (): Promise<Me> => read("api/me");

const membersOf = (project: string): string => `api/projects/${encodeURIComponent(project)}/members`;
export const members = (project: string): Promise<Member[]> => read(membersOf(project));
export const setRole = (project: string, name: string, role: Role | null): Promise<Member[]> =>
  read(`${membersOf(project)}/${encodeURIComponent(name)}`, { ...post({ role }), method: "PUT" });
export const invite = (project: string, name: string, role: Role): Promise<Invitation> =>
  read(`api/projects/${encodeURIComponent(project)}/invitations`, post({ name, role }));

export const readers = (project: string): Promise<Reader[]> =>
  read(`api/projects/${encodeURIComponent(project)}/readers`);
export const plan = (project: string, wanted: Plan): Promise<Given> =>
  read(`api/projects/${encodeURIComponent(project)}/readings`, post(wanted));

/** Return the next case of a project for oneself to read; null where none is left. */
export const pull = (project: string): Promise<Case | null> =>
  read(`api/projects/${encodeURIComponent(project)}/readings/next`, { method: "POST" });
export const reading = (id: string): Promise<Read | null> => read(`api/cases/${id}/reading`);
export const differences = (id: string, one: string, other: string): Promise<Difference[]> =>
  read(`api/cases/${id}/differences?${new URLSearchParams({ one, other }).toString()}`);
export const adjudicate = (id: string, reader: string | null): Promise<Session> =>
  read(`api/cases/${id}/adjudication`, post({ begin_with: reader }));

/** Return what a label of a session would be as a reader has it. */
export async function readerDifference(id: string, reader: string, label: number): Promise<MaskPatch> {
  const asked = new URLSearchParams({ reader, label: String(label) });
  const reply = await request(`api/sessions/${id}/difference?${asked.toString()}`);
  return (await readPatch(await reply.arrayBuffer())) as MaskPatch;
}

/** Take a label over as a reader has it, in some slices. */
export const take = (id: string, reader: string, label: number, low: number, high: number): Promise<Taken> =>
  read(`api/sessions/${id}/take`, post({ reader, label, low, high }));

export const agreement = (project: string): Promise<Agreement[]> =>
  read(`api/projects/${encodeURIComponent(project)}/agreement`);
export const agreementTable = (project: string): string =>
  address(`api/projects/${encodeURIComponent(project)}/agreement.csv`);

export const comments = (id: string): Promise<Comment[]> => read(`api/cases/${id}/comments`);
export const addComment = (id: string, text: string, place: readonly number[] | null): Promise<Comment> =>
  read(`api/cases/${id}/comments`, post({ text, place }));
export async function removeComment(id: string, comment: string): Promise<void> {
  await request(`api/cases/${id}/comments/${comment}`, { method: "DELETE" });
}

/** End this browser's login, and its connections. */
export async function logout(): Promise<void> {
  await request("api/logout", { method: "POST" });
}

export const slide = (id: string): Promise<Slide> => read(`api/cases/${id}/slide`);

/** Return a field of view of a slide to mark in, round what is seen. */
export const addField = (id: string, seen: Pick<FieldOfView, "level" | "low" | "high">): Promise<FieldOfView> => {
  const { level, low, high } = seen;
  return read(`api/cases/${id}/fields`, post({ level, low, high }));
};

export const slideExport = (id: string, suffix: ".geojson" | ".tif"): string =>
  address(`api/cases/${id}/slide/export?${new URLSearchParams({ format: suffix }).toString()}`);

export async function deleteCase(id: string): Promise<void> {
  await request(`api/cases/${id}`, { method: "DELETE" });
}

/** What is asked of the voxels of a case, and how urgently. */
export interface Asked {
  readonly channel: number | null; // null: all as one picture
  readonly series?: string | undefined; // beside the case's own image, whose grid it is shown on
  readonly field?: string | undefined; // of view, of a slide
  readonly signal: AbortSignal;
  readonly priority: RequestPriority;
}

const channelOf = (channel: number | null): Record<string, string> =>
  channel === null ? {} : { channel: String(channel) };

const voxelsOf = (id: string, { series, field }: Asked): string =>
  field !== undefined
    ? `api/cases/${id}/fields/${field}`
    : series === undefined
      ? `api/cases/${id}`
      : `api/cases/${id}/series/${series}`;

/** Return the first bytes of a case's volume as a file. */
export async function volumeHeader(id: string, given: Asked, bytes: number): Promise<ArrayBuffer> {
  const { channel, signal, priority } = given;
  const asked = new URLSearchParams(channelOf(channel)).toString();
  const headers = { Range: `bytes=0-${bytes - 1}` };
  return (await request(`${voxelsOf(id, given)}/volume.nii?${asked}`, { headers, signal, priority })).arrayBuffer();
}

/** Return the voxels of some slices, unpacked where they were packed on their way. */
export async function slices(
  id: string,
  given: Asked,
  [low, high]: readonly [number, number],
  packed: boolean,
): Promise<Uint8Array<ArrayBuffer>> {
  const { channel, signal, priority } = given;
  const range = { low: String(low), high: String(high), packed: String(packed), ...channelOf(channel) };
  const path = `${voxelsOf(id, given)}/slices?${new URLSearchParams(range).toString()}`;
  const reply = await request(path, { signal, priority });
  if (!packed || reply.body === null) return new Uint8Array(await reply.arrayBuffer());
  const unpacked = reply.body.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

export interface Upload {
  readonly file: Blob;
  readonly name: string; // with its folders, for a DICOM series
}

/** Tells the part of an upload that has gone up. */
export type Sent = (part: number) => void;

/** Send files to become cases of a project; an empty one is the usual one. */
export const addCases = (uploads: readonly Upload[], project: string, sent: Sent): Promise<Uploaded> =>
  upload<Uploaded>("api/cases?report=true", uploads, sent, project === "" ? {} : { project });

/** Send a mask that another tool made: one object for this label, several for labels of their own. */
export const loadMask = (
  session: string,
  label: number,
  mask: Upload,
  overwrite: boolean,
  sent: Sent,
): Promise<Loaded> =>
  upload<Loaded>(`api/sessions/${session}/masks?label=${label}&overwrite=${String(overwrite)}`, [mask], sent);

/** Send files; XMLHttpRequest, because fetch cannot tell how far it is. */
function upload<T>(
  path: string,
  uploads: readonly Upload[],
  sent: Sent,
  fields: Readonly<Record<string, string>> = {},
): Promise<T> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const { file, name } of uploads) form.append("files", file, name);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", address(path));
    call.upload.onprogress = ({ loaded, total }) => {
      sent(loaded / total);
    };
    call.onload = () => {
      if (call.status < 300) resolve(JSON.parse(call.responseText) as T);
      else reject(new ApiError(sentenceIn(call.responseText, call.status), call.status));
    };
    call.onerror = () => {
      reject(new ApiError(UNREACHABLE, 0));
    };
    call.send(form);
  });
}

/** Return the session's mask as a file, with the name the server gives it. */
export async function exportMask(
  id: string,
  suffix: string,
  patient: Patient = "anonymous",
): Promise<{ blob: Blob; name: string }> {
  const asked = new URLSearchParams({ format: suffix, patient });
  const reply = await request(`api/sessions/${id}/export?${asked.toString()}`);
  return { blob: await reply.blob(), name: nameIn(reply.headers.get("Content-Disposition")) ?? `mask${suffix}` };
}

/** Return the file name in a Content-Disposition header. */
export function nameIn(header: string | null): string | null {
  const encoded = /filename\*=(?:utf-8|UTF-8)''([^;]+)/.exec(header ?? "")?.[1];
  if (encoded !== undefined) return decodeURIComponent(encoded);
  return /filename="?([^";]+)"?/.exec(header ?? "")?.[1] ?? null;
}

/** The session's WebSocket address. */
export function liveAddress(id: string): string {
  const url = new URL(address(`api/sessions/${id}/live`));
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
