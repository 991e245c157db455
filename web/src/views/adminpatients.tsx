/** A patient deleted for good, with the proof of what there was; and how long cases of projects are kept. */

import { useSignal } from "@preact/signals";
import * as admin from "../admin";
import { saveFile } from "../export";
import { fill, phrases, plural } from "../phrases";
import { STATUS_WORDS } from "../worklist";
import { Table, useUsage, type PartProps } from "./adminparts";

const SAY = phrases.admin;

export function AdminPatients(part: PartProps) {
  return (
    <>
      <Forget {...part} />
      <Retention {...part} />
    </>
  );
}

function Forget({ actions, attempt }: PartProps) {
  const meant = useSignal(""); // the patient who was searched for
  const found = useSignal<admin.OfPatient | null>(null);
  const sure = useSignal(false);
  const done = useSignal<admin.Forgotten | null>(null);
  const find = (event: Event): void => {
    event.preventDefault();
    const patient = (new FormData(event.currentTarget as HTMLFormElement).get("patient") as string).trim();
    found.value = null;
    done.value = null;
    sure.value = false;
    attempt(async () => {
      found.value = await admin.findPatient(patient);
      meant.value = patient;
    });
  };
  const forget = (): void => {
    const cases = (found.value?.cases ?? []).map(({ id }) => id);
    attempt(async () => {
      done.value = await admin.forgetPatient(meant.value, cases);
      found.value = null;
      save();
      await actions.worklist.refresh();
    });
  };
  const save = (): void => {
    if (done.value === null || done.value.forgotten.length === 0) return;
    const { text, name } = admin.proofFile(done.value);
    saveFile(new Blob([text], { type: "application/json" }), name);
  };
  const [cases, pseudonym] = [found.value?.cases ?? [], found.value?.pseudonyms.at(0)];
  return (
    <section class="admin-section" aria-labelledby="admin-forget">
      <h3 id="admin-forget">{SAY.forget}</h3>
      <p class="hint">{SAY.forgetHint}</p>
      <form class="admin-form" onSubmit={find}>
        <label class="wide">
          {SAY.patient}
          <input
            name="patient"
            class="text-input"
            required
            maxLength={300}
            placeholder={SAY.patientHint}
            autocomplete="off"
          />
        </label>
        <button class="button">{SAY.find}</button>
      </form>
      {found.value !== null && (
        <div class="admin-found">
          {pseudonym !== undefined && (
            <p>{fill(cases.length === 0 ? SAY.pseudonymOnly : SAY.withPseudonym, { name: pseudonym })}</p>
          )}
          {cases.length > 0 && (
            <Table
              label={plural(SAY.found, cases.length)}
              heads={[SAY.name, SAY.project, SAY.patient, SAY.status, SAY.added, SAY.size]}
            >
              {cases.map((one) => (
                <tr key={one.id}>
                  <td>
                    <bdi>{one.name}</bdi>
                  </td>
                  <td>
                    <bdi>{one.project}</bdi>
                  </td>
                  <td>
                    <bdi>{one.patient}</bdi>
                  </td>
                  <td>{STATUS_WORDS[one.status]}</td>
                  <td class="time" dir="ltr">
                    {admin.localTime(one.created).slice(0, 10)}
                  </td>
                  <td class="number">{admin.bytes(one.bytes)}</td>
                </tr>
              ))}
            </Table>
          )}
          <div class="admin-question">
            <label class="check">
              <input
                type="checkbox"
                checked={sure.value}
                onChange={({ currentTarget: { checked } }) => {
                  sure.value = checked;
                }}
              />
              {SAY.confirm}
            </label>
            <button type="button" class="button danger" disabled={!sure.value} onClick={forget}>
              {cases.length === 0 ? SAY.surePseudonym : plural(SAY.sure, cases.length)}
            </button>
          </div>
        </div>
      )}
      {done.value !== null && (
        <div class="admin-found" role="status">
          <p>
            <b>{plural(SAY.forgotten, done.value.forgotten.length)}</b> {!done.value.compact && SAY.traces}
          </p>
          {done.value.forgotten.length > 0 && (
            <>
              <Table label={SAY.proof} heads={[SAY.entry, SAY.case, SAY.files, SAY.events, "SHA-256"]}>
                {done.value.forgotten.map((one) => (
                  <tr key={one.case}>
                    <td class="number">{one.entry}</td>
                    <td>
                      <code>{one.case}</code>
                    </td>
                    <td class="number">{Object.keys(one.blobs).length}</td>
                    <td class="number">{one.events}</td>
                    <td>
                      <code title={one.sha256}>{one.sha256.slice(0, 16)}…</code>
                    </td>
                  </tr>
                ))}
              </Table>
              <p class="hint">{SAY.proofHint}</p>
              <button type="button" class="button primary" onClick={save}>
                {SAY.proof}
              </button>
            </>
          )}
        </div>
      )}
    </section>
  );
}

function Retention(part: PartProps) {
  const { attempt, tell } = part;
  const usage = useUsage(part);
  const asked = useSignal<admin.Retention | null>(null); // cases would go, which is asked once more
  const set = async (project: string, days: number | null): Promise<void> => {
    asked.value = null;
    await admin.setRetention(project, days);
    usage.load();
    tell(days === null ? fill(SAY.keptAlways, { project }) : fill(SAY.keptFor, { project, days }));
  };
  const submit = (project: string, event: Event): void => {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement).get("days") as string;
    attempt(async () => {
      const would = entered === "" ? null : await admin.retentionIf(project, Number(entered));
      if (would !== null && would.expired > 0) asked.value = would;
      else await set(project, would?.days ?? null);
    });
  };
  return (
    <section class="admin-section" aria-labelledby="admin-retention">
      <h3 id="admin-retention">{SAY.retention}</h3>
      <p class="hint">{SAY.retentionHint}</p>
      {usage.value !== null && (
        <Table label={SAY.retention} heads={[SAY.project, SAY.cases, SAY.days]}>
          {usage.value.projects.map((one) => (
            <tr key={one.name}>
              <th scope="row">
                <bdi>{one.name}</bdi>
              </th>
              <td class="number">{one.cases}</td>
              <td>
                <form
                  class="admin-days"
                  onSubmit={(event) => {
                    submit(one.name, event);
                  }}
                >
                  <input
                    name="days"
                    class="text-input"
                    type="number"
                    min={1}
                    max={36500}
                    aria-label={fill(SAY.daysOf, { project: one.name })}
                    value={one.retention_days ?? ""}
                  />
                  <button class="button small">{SAY.set}</button>
                  {one.expired > 0 && <span class="hint">{plural(SAY.areOlder, one.expired)}</span>}
                </form>
                {asked.value?.project === one.name && (
                  <div class="admin-question" role="group" aria-label={SAY.setAll}>
                    <p>
                      {plural(SAY.wouldGo, asked.value.expired, { project: one.name, days: asked.value.days ?? 0 })}
                    </p>
                    <button
                      type="button"
                      class="button danger"
                      onClick={() => {
                        const days = asked.value?.days ?? null;
                        attempt(() => set(one.name, days));
                      }}
                    >
                      {SAY.setAll}
                    </button>
                    <button
                      type="button"
                      class="button"
                      onClick={() => {
                        asked.value = null;
                        usage.load();
                      }}
                    >
                      {phrases.common.cancel}
                    </button>
                  </div>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}
