/** What of dropped or picked files is meant to be uploaded. */

import type { Upload } from "./api";

const HIDDEN = /(^|\/)(\.|__MACOSX|Thumbs\.db$|desktop\.ini$)/i;

/** Return the files that people mean: none that the system hides. */
export function withoutHidden(uploads: readonly Upload[]): Upload[] {
  return uploads.filter(({ name }) => !HIDDEN.test(name));
}
