/** What is asked of archives (PACS) that the server knows, and what is said of their series. */

import { post, read, request } from "./api";
import { fill, phrases, plural } from "./phrases";
import type { components } from "./schema";
import { fixed } from "./words";

type Schemas = components["schemas"];
export type Archive = Schemas["ArchiveJson"];
export type Study = Schemas["StudyJson"];
export type StudyPage = Schemas["StudyPageJson"];
export type Series = Schemas["ArchivedSeriesJson"];
export type Import = Schemas["ImportJson"];
export type Sent = Schemas["SentJson"];
export type MaskFormat = NonNullable<Schemas["SendJson"]["format"]>;

export const PAGE = 25; // studies
const SAY = phrases.archive;

export const MODALITIES = ["CT", "MR", "PT", "US", "XA", "MG", "CR", "DX", "NM"] as const;
export const MASK_FORMATS: Readonly<Record<MaskFormat, string>> = {
  ".dcm": SAY.seg,
  ".rtstruct.dcm": SAY.rtstruct,
};

/** What a person looks for; empty fields say nothing. */
export interface Wanted {
  readonly patient: string;
  readonly patientId: string;
  readonly since: string;
  readonly until: string;
  readonly modality: string;
  readonly description: string;
}

export const ANYTHING: Wanted = { patient: "", patientId: "", since: "", until: "", modality: "", description: "" };

/** Return the query that asks for a page of studies. */
export function queryOf(wanted: Wanted, offset: number): URLSearchParams {
  const named = {
    patient: wanted.patient,
    patient_id: wanted.patientId,
    since: wanted.since,
    until: wanted.until,
    modality: wanted.modality,
    description: wanted.description,
  };
  const said = Object.entries(named).flatMap(([name, text]) => (text.trim() === "" ? [] : [[name, text.trim()]]));
  return new URLSearchParams([...said, ["limit", String(PAGE)], ["offset", String(offset)]]);
}

/** Return the words that tell how far an import is. */
export function progressWords(one: Import, instances: number | null): string {
  switch (one.stage) {
    case "waiting":
      return SAY.waits;
    case "fetching": {
      const known = { n: one.files, size: megabytes(one.size) };
      return instances === null ? fill(SAY.filesSoFar, known) : fill(SAY.filesOf, { ...known, all: instances });
    }
    case "reading":
      return SAY.reading;
    case "done":
      return SAY.here;
    case "cancelled":
      return SAY.cancelled;
    case "failed":
      return one.error;
  }
}

/** Return how many files a series has, in words; nothing where the archive does not say. */
export function countWords(instances: number | null): string {
  if (instances === null) return "";
  return plural(SAY.files, instances);
}

/** Return which part of an import is done, null where nobody can say. */
export function partOf(one: Import, instances: number | null): number | null {
  if (one.stage === "reading") return 1;
  if (one.stage !== "fetching" || instances === null || instances < 1) return null;
  return Math.min(1, one.files / instances);
}

export const isOver = ({ stage }: Import): boolean => stage === "done" || stage === "failed" || stage === "cancelled";

/** Return bytes as people say them. */
export function megabytes(bytes: number): string {
  const size = bytes / 1e6;
  return size < 10 ? `${fixed(size, 1)} MB` : `${Math.round(size)} MB`;
}

/** Return a name as DICOM has it, as people write it: "Doe^Jane^^Dr" is "Doe, Jane". */
export function nameOf(patient: string): string {
  const parts = patient.split("^").slice(0, 2);
  return parts.filter((part) => part.trim() !== "").join(", ");
}

/** Return the sentence that tells what became of masks that were sent. */
export function sentWords(sent: Sent, archive: string): string {
  if (sent.refused.length > 0) return fill(SAY.refused, { archive, reasons: sent.refused.join(", ") });
  return fill(SAY.kept, { archive });
}

const at = (archive: string): string => `api/archives/${encodeURIComponent(archive)}`;

export const archives = (): Promise<Archive[]> => read("api/archives");
export const studies = (archive: string, wanted: Wanted, offset: number): Promise<StudyPage> =>
  read(`${at(archive)}/studies?${queryOf(wanted, offset).toString()}`);
export const seriesOf = (archive: string, study: string): Promise<Series[]> =>
  read(`${at(archive)}/studies/${study}/series`);
export const begin = (archive: string, { study, uid }: Series, project: string): Promise<Import> =>
  read(`${at(archive)}/imports`, post({ study, series: uid, ...(project === "" ? {} : { project }) }));
export const imports = (): Promise<Import[]> => read("api/imports");
export const send = (archive: string, session: string, format: MaskFormat): Promise<Sent> =>
  read(`${at(archive)}/results`, post({ session, format }));

export async function cancel(id: string): Promise<void> {
  await request(`api/imports/${id}`, { method: "DELETE" });
}
