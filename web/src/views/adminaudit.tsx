/** The audit: searched, paged, taken away as a table, and its chain of hashes checked. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import * as admin from "../admin";
import { phrases, plural } from "../phrases";
import { Table, type PartProps } from "./adminparts";

const SAY = phrases.admin;
const PAGE = 100; // entries
const STANDING: Readonly<Record<string, string>> = { local: SAY.local, server: SAY.server, unknown: SAY.unknown };
const ACTIONS: Readonly<Record<string, string>> = SAY.actions;

export function AdminAudit(part: PartProps) {
  const { projects, attempt } = part;
  const typed = useSignal<admin.Search>(admin.ALL);
  const search = useSignal<admin.Search>(admin.ALL); // what was typed when it was last asked for
  const entries = useSignal<readonly admin.Entry[] | null>(null);
  const before = useSignal<number | null>(null); // the page is of entries before this number; null: the newest
  const more = useSignal(false);
  const names = useSignal<readonly string[]>([]);
  const verifying = useSignal(false);
  const load = async (): Promise<void> => {
    const asked = admin.askedOf(search.value);
    asked.set("limit", String(PAGE + 1));
    if (before.value !== null) asked.set("before", String(before.value));
    const found = await admin.audit(asked);
    more.value = found.length > PAGE;
    entries.value = found.slice(0, PAGE);
  };
  useEffect(() => {
    attempt(load);
  }, [search.value, before.value]);
  useEffect(() => {
    attempt(async () => {
      names.value = [...(await admin.everybody()).map(({ name }) => name), ...Object.keys(STANDING)];
    });
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    before.value = null;
    search.value = { ...typed.value }; // asked for once more, also where it is the same
  };
  const ask = (wanted: Partial<admin.Search>): void => {
    before.value = null;
    typed.value = { ...admin.ALL, ...wanted };
    search.value = typed.value;
  };
  const type = (name: keyof admin.Search, value: string): void => {
    typed.value = { ...typed.value, [name]: value };
  };
  const field = (name: keyof admin.Search, title: string, rest: Readonly<Record<string, unknown>> = {}) => (
    <label>
      {title}
      <input
        name={name}
        class="text-input"
        maxLength={300}
        value={typed.value[name]}
        autocomplete="off"
        onInput={({ currentTarget: { value } }) => {
          type(name, value);
        }}
        {...rest}
      />
    </label>
  );
  const found = entries.value;
  return (
    <>
      <form class="admin-form admin-search" onSubmit={submit} role="search">
        {field("person", SAY.person, { list: "admin-names" })}
        <datalist id="admin-names">
          {names.value.map((name) => (
            <option key={name} value={name}>
              {STANDING[name]}
            </option>
          ))}
        </datalist>
        <label>
          {SAY.action}
          <select
            name="action"
            class="select"
            onChange={({ currentTarget: { value } }) => {
              type("action", value);
            }}
          >
            <option value="" selected={typed.value.action === ""}>
              {SAY.all}
            </option>
            {Object.entries(ACTIONS).map(([action, words]) => (
              <option key={action} value={action} selected={action === typed.value.action}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <label>
          {SAY.project}
          <select
            name="project"
            class="select"
            onChange={({ currentTarget: { value } }) => {
              type("project", value);
            }}
          >
            <option value="" selected={typed.value.project === ""}>
              {SAY.all}
            </option>
            {projects.map((name) => (
              <option key={name} value={name} selected={name === typed.value.project}>
                {name}
              </option>
            ))}
          </select>
        </label>
        {field("case", SAY.caseId)}
        {field("patient", SAY.patient, { placeholder: SAY.patientHint })}
        {field("since", SAY.from, { type: "datetime-local" })}
        {field("until", SAY.until, { type: "datetime-local" })}
        <div class="admin-actions">
          <button class="button primary">{SAY.search}</button>
          <button
            type="button"
            class="button"
            onClick={() => {
              ask({});
            }}
          >
            {SAY.reset}
          </button>
          <button
            type="button"
            class="button"
            aria-expanded={verifying.value}
            onClick={() => {
              verifying.value = !verifying.value;
            }}
          >
            {SAY.verify}
          </button>
          <a class="button" href={admin.auditTable(admin.askedOf(search.value))} download="audit.csv">
            {SAY.exportTable}
          </a>
        </div>
      </form>
      {verifying.value && <Verify {...part} />}
      {found?.length === 0 && <p class="hint">{SAY.noEntries}</p>}
      {found !== null && found.length > 0 && (
        <Table
          label={SAY.entries}
          heads={[SAY.number, SAY.time, SAY.person, SAY.action, SAY.project, SAY.case, SAY.detail]}
        >
          {found.map((entry) => (
            <tr key={entry.number}>
              <td class="number">{entry.number}</td>
              <td class="time">
                <time dateTime={entry.at} dir="ltr">
                  {admin.localTime(entry.at)}
                </time>
              </td>
              <td>
                <bdi>{entry.person}</bdi>
              </td>
              <td>{ACTIONS[entry.action] ?? entry.action}</td>
              <td>
                <bdi>{entry.project}</bdi>
              </td>
              <td>
                {entry.case !== "" && (
                  <button
                    type="button"
                    class="admin-case"
                    title={`${SAY.onlyCase}: ${entry.case}`}
                    aria-label={`${entry.case.slice(0, 8)}: ${SAY.onlyCase}`}
                    onClick={() => {
                      ask({ case: entry.case });
                    }}
                  >
                    {entry.case.slice(0, 8)}
                  </button>
                )}
              </td>
              <td class="detail" dir="ltr" lang="en">
                {admin.detailOf(entry)}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <div class="admin-actions">
        <button
          type="button"
          class="button small"
          disabled={before.value === null}
          onClick={() => {
            before.value = null;
          }}
        >
          {SAY.newest}
        </button>
        <button
          type="button"
          class="button small"
          disabled={!more.value}
          onClick={() => {
            before.value = found?.at(-1)?.number ?? null;
          }}
        >
          {SAY.older}
        </button>
      </div>
    </>
  );
}

function Verify({ attempt }: PartProps) {
  const found = useSignal<admin.Checked | null>(null);
  const working = useSignal(false);
  const earlier = useSignal(""); // that was compared with
  const verify = (event: Event): void => {
    event.preventDefault();
    const head = (new FormData(event.currentTarget as HTMLFormElement).get("head") as string).trim();
    found.value = null;
    working.value = true;
    attempt(async () => {
      try {
        found.value = await admin.checkAudit(head);
        earlier.value = head;
      } finally {
        working.value = false;
      }
    });
  };
  const sound = found.value?.damage.length === 0;
  return (
    <section class="admin-section" aria-labelledby="admin-verify">
      <h3 id="admin-verify">{SAY.verify}</h3>
      <p class="hint">{SAY.verifyHint}</p>
      <form class="admin-form" onSubmit={verify}>
        <label class="wide">
          {SAY.earlier}
          <input name="head" class="text-input" dir="ltr" maxLength={100} autocomplete="off" spellcheck={false} />
        </label>
        <button class="button" disabled={working.value}>
          {SAY.verify}
        </button>
      </form>
      <div role="status" class={found.value === null ? "" : sound ? "admin-good" : "admin-bad"}>
        {working.value && <p>{SAY.verifying}</p>}
        {found.value !== null && (
          <>
            {sound ? (
              <p>
                {plural(SAY.sound, found.value.entries)} {earlier.value === "" ? SAY.soundAlone : SAY.soundEarlier}
              </p>
            ) : (
              <p>
                <b>{SAY.broken}</b> {plural(SAY.soundUpTo, found.value.entries)}
              </p>
            )}
            {found.value.damage.map((sentence) => (
              <p key={sentence} dir="auto" lang="en">
                {sentence}
              </p>
            ))}
            <label class="wide">
              {SAY.head}
              <input
                class="text-input"
                readOnly
                dir="ltr"
                value={found.value.head}
                onFocus={({ currentTarget }) => {
                  currentTarget.select();
                }}
              />
            </label>
          </>
        )}
      </div>
    </section>
  );
}
