/** Whether the open case takes marks now. */

import { phrases } from "./phrases";
import { may } from "./rights";
import type { State } from "./state";

const SAY = phrases.actions;

/** Return why the open case may not be changed now, as one sentence; null where it may. */
export function whyFinished({ opened, work, me }: Pick<State, "opened" | "work" | "me">): string | null {
  if (opened?.case.timed === true) return SAY.timed;
  switch (work?.status) {
    case "done":
      return SAY.caseDone;
    case "rejected":
      return SAY.caseRejected;
    case "accepted":
      return may(me, "reviewer", work.project) ? SAY.caseAccepted : SAY.caseFrozen;
    default:
      return null;
  }
}
