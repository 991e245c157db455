/** Methods in the order in which a person looks for them. */

import type { Method } from "./api";
import { phrases } from "./phrases";

const { papers: PAPERS, untrained: UNTRAINED, others: OTHERS } = phrases.methods;

/** Return methods in groups with their names: Mend first, those that learned nothing, those of papers, and others'. */
export function groupsOf(methods: readonly Method[]): [string, Method[]][] {
  const groups = new Map<string, Method[]>([
    ["", []],
    [UNTRAINED, []],
    [PAPERS, []],
    [OTHERS, []],
  ]);
  for (const method of methods) groups.get(groupOf(method))!.push(method);
  return [...groups].filter(([, found]) => found.length > 0);
}

function groupOf({ id, weights, good_for }: Method): string {
  if (id === "mend") return "";
  if (weights === "none needed") return UNTRAINED;
  return good_for === "" ? OTHERS : PAPERS; // other packages' methods may say nothing of themselves
}
