/** What the admins of a server do: people, the audit, patients and retention, what is used, anonymisation. */

import "../admin.css";
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Actions } from "../actions";
import * as api from "../api";
import { phrases } from "../phrases";
import { goalOf } from "../roving";
import { AdminAudit } from "./adminaudit";
import { AdminPatients } from "./adminpatients";
import { AdminPeople } from "./adminpeople";
import { AdminAnonymisation, AdminUsage } from "./adminusage";
import type { PartProps } from "./adminparts";
import { showRendered } from "./rendered";

const SAY = phrases.admin;
const TABS = ["people", "audit", "patients", "usage", "anonymisation"] as const;
type Tab = (typeof TABS)[number];

export async function showAdmin(actions: Actions): Promise<void> {
  const projects = (await api.projects()).map(({ name }) => name);
  showRendered("admin", SAY.title, () => <Admin actions={actions} projects={projects} />);
}

function Admin({ actions, projects }: { readonly actions: Actions; readonly projects: readonly string[] }) {
  const tab = useSignal<Tab>("people");
  const error = useSignal("");
  const said = useSignal("");
  const list = useRef<HTMLDivElement>(null);
  const attempt = (work: () => Promise<void>): void => {
    error.value = "";
    said.value = "";
    work().catch((problem: unknown) => {
      error.value = problem instanceof Error ? problem.message : String(problem);
    });
  };
  const tell = (text: string): void => {
    said.value = text;
  };
  const part: PartProps = { actions, projects, attempt, tell };
  const choose = (one: Tab): void => {
    tab.value = one;
    error.value = "";
    said.value = "";
  };
  return (
    <div class="admin-parts">
      <div
        class="admin-tabs"
        role="tablist"
        aria-label={SAY.parts}
        ref={list}
        onKeyDown={(event) => {
          const goal = goalOf(event.key, TABS.indexOf(tab.value), TABS.length, document.dir === "rtl");
          if (goal === null || event.key === "ArrowUp" || event.key === "ArrowDown") return;
          event.preventDefault();
          event.stopPropagation();
          choose(TABS[goal]);
          list.current?.querySelectorAll("button")[goal].focus();
        }}
      >
        {TABS.map((one) => (
          <button
            key={one}
            type="button"
            role="tab"
            id={`admin-tab-${one}`}
            aria-selected={one === tab.value}
            aria-controls="admin-part"
            tabIndex={one === tab.value ? 0 : -1}
            onClick={() => {
              choose(one);
            }}
          >
            {SAY[one]}
          </button>
        ))}
      </div>
      <div class="admin-said">
        <p role="alert" class="admin-error" dir="auto">
          {error.value}
        </p>
        <p role="status" class="admin-done">
          {said.value}
        </p>
      </div>
      <div
        class="admin-part"
        id="admin-part"
        role="tabpanel"
        aria-labelledby={`admin-tab-${tab.value}`}
        tabIndex={0}
        key={tab.value}
      >
        {tab.value === "people" && <AdminPeople {...part} />}
        {tab.value === "audit" && <AdminAudit {...part} />}
        {tab.value === "patients" && <AdminPatients {...part} />}
        {tab.value === "usage" && <AdminUsage {...part} />}
        {tab.value === "anonymisation" && <AdminAnonymisation {...part} />}
      </div>
    </div>
  );
}
