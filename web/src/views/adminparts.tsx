/** What the parts of the administration share: what they get, what is used, and tables. */

import { useSignal } from "@preact/signals";
import type { ComponentChild } from "preact";
import { useEffect } from "preact/hooks";
import type { Actions } from "../actions";
import type { Usage } from "../admin";
import * as admin from "../admin";

/** What every part of the dialog gets. */
export interface PartProps {
  readonly actions: Actions;
  readonly projects: readonly string[];
  /** Do something, and say in the dialog what went wrong, for messages of the page lie behind it. */
  readonly attempt: (work: () => Promise<void>) => void;
  /** Say what was done. */
  readonly tell: (text: string) => void;
}

interface UsageNow {
  readonly value: Usage | null;
  readonly load: () => void;
  /** Show what the server has told meanwhile. */
  readonly take: (told: Usage) => void;
}

/** Return what is kept and may be, once it is there. */
export function useUsage({ attempt }: PartProps): UsageNow {
  const found = useSignal<Usage | null>(null);
  const load = (): void => {
    attempt(async () => {
      found.value = await admin.usage();
    });
  };
  const take = (told: Usage): void => {
    found.value = told;
  };
  useEffect(load, []);
  return { value: found.value, load, take };
}

interface TableProps {
  readonly label: string;
  readonly heads: readonly string[];
  readonly name?: string; // of a class
  readonly children: ComponentChild;
}

/** A table whose heads stay in sight. */
export function Table({ label, heads, name = "", children }: TableProps) {
  return (
    <table class={`admin-table ${name}`} aria-label={label}>
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}
