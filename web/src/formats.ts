/** What results can be written as, and what the menu and the dialog offer of it. */

import type * as api from "./api";
import { fill, phrases } from "./phrases";

export interface Entry {
  readonly suffix: string;
  readonly title: string;
  readonly patient: api.Patient;
}

/** Tell whether an image's result can be written so. */
export function fits({ of }: api.Format, picture: boolean): boolean {
  return of === "any" || (of === "picture") === picture;
}

/** Return what the menu offers: masks, a DICOM mask of an image from DICOM twice, with its patient and without. */
export function entries(formats: readonly api.Format[], fromDicom: boolean, picture: boolean): Entry[] {
  const fitting = formats.filter((format) => format.group === "masks" && fits(format, picture));
  return fitting.flatMap(({ suffix, title }): Entry[] =>
    fromDicom && suffix.endsWith(".dcm")
      ? [
          { suffix, title: fill(phrases.results.anonymous, { title }), patient: "anonymous" },
          { suffix, title: fill(phrases.results.withPatient, { title }), patient: "keep" },
        ]
      : [{ suffix, title, patient: "anonymous" }],
  );
}

export const GROUPS: Readonly<Record<api.Format["group"], string>> = {
  masks: phrases.results.masks,
  surfaces: phrases.results.surfaces,
  reading: phrases.results.reading,
  training: phrases.results.training,
};

/** What a person asks for in the dialog of results. */
export interface Wanted {
  readonly kinds: ReadonlySet<string>;
  readonly cases: URLSearchParams | string; // a list's filter, or one case's id
  readonly patient: boolean;
}

/** Return the address of the zip that holds it. */
export function archiveAddress({ kinds, cases, patient }: Wanted): string {
  const asked = typeof cases === "string" ? new URLSearchParams({ case: cases }) : new URLSearchParams(cases);
  for (const kind of kinds) asked.append("kind", kind);
  if (patient) asked.set("patient", "keep");
  return `api/results.zip?${asked.toString()}`;
}
