/** What the download menu offers. */

import type * as api from "./api";

interface Entry extends api.Format {
  readonly patient: api.Patient;
}

/**
 * Return what the menu offers: a DICOM mask of an image from DICOM twice, with its patient and without; of a volume no
 * format that holds only a picture.
 */
export function entries(formats: readonly api.Format[], fromDicom: boolean, picture: boolean): Entry[] {
  const fitting = formats.filter(({ flat }) => picture || !flat);
  return fitting.flatMap(({ suffix, title, flat }): Entry[] =>
    fromDicom && suffix.endsWith(".dcm")
      ? [
          { suffix, flat, title: `${title}, anonymous`, patient: "anonymous" },
          { suffix, flat, title: `${title}, with its patient`, patient: "keep" },
        ]
      : [{ suffix, flat, title, patient: "anonymous" }],
  );
}
