/** What the download menu offers. */

import type * as api from "./api";

interface Entry extends api.Format {
  readonly patient: api.Patient;
}

/** Return what the menu offers: a DICOM mask of an image from DICOM twice, with its patient and without. */
export function entries(formats: readonly api.Format[], fromDicom: boolean): Entry[] {
  return formats.flatMap(({ suffix, title }): Entry[] =>
    fromDicom && suffix.endsWith(".dcm")
      ? [
          { suffix, title: `${title}, anonymous`, patient: "anonymous" },
          { suffix, title: `${title}, with its patient`, patient: "keep" },
        ]
      : [{ suffix, title, patient: "anonymous" }],
  );
}
