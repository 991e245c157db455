/** What a server keeps and people and projects may keep, and by which profile cases of projects are anonymised. */

import * as admin from "../admin";
import { amount, fill, phrases } from "../phrases";
import { Table, useUsage, type PartProps } from "./adminparts";

const SAY = phrases.admin;
const PROFILES = ["none", "basic", "basic-shifted"] as const;

export function AdminUsage(part: PartProps) {
  const { attempt, tell } = part;
  const { value: found, take } = useUsage(part);
  if (found === null) return null;
  const { storage, limits, people, projects } = found;
  const room = (bytes: number | null): string => (bytes === null ? SAY.elsewhere : admin.bytes(bytes));
  const bytesOrNone = (bytes: number): string => (bytes === 0 ? SAY.noLimit : admin.bytes(bytes));
  const numberOrNone = (n: number): string => (n === 0 ? SAY.noLimit : amount(n));
  const setter =
    (set: typeof admin.limitPerson) =>
    (name: string, most: number | null): void => {
      attempt(async () => {
        take(await set(name, most));
        if (most === null) tell(fill(SAY.mayKeepAsAll, { name }));
        else if (most === 0) tell(fill(SAY.mayKeepAny, { name }));
        else tell(fill(SAY.mayKeepNow, { name, size: admin.bytes(most) }));
      });
    };
  return (
    <>
      <section class="admin-section" aria-labelledby="admin-storage">
        <h3 id="admin-storage">{SAY.storage}</h3>
        <dl class="admin-tiles">
          {[
            [SAY.cases, amount(storage.cases)],
            [SAY.files, admin.bytes(storage.bytes)],
            [SAY.database, room(storage.database_bytes)],
            [SAY.free, room(storage.free_bytes)],
          ].map(([title, value]) => (
            <div key={title}>
              <dt>{title}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section class="admin-section" aria-labelledby="admin-limits">
        <h3 id="admin-limits">{SAY.limits}</h3>
        <p class="hint">{SAY.limitsHint}</p>
        <Table label={SAY.limits} heads={[SAY.limit, SAY.isSet]}>
          {[
            [SAY.bytesPerPerson, bytesOrNone(limits.bytes_per_person)],
            [SAY.bytesPerProject, bytesOrNone(limits.bytes_per_project)],
            [SAY.requestsPerSecond, numberOrNone(limits.requests_per_second)],
            [SAY.connectionsPerPerson, numberOrNone(limits.connections_per_person)],
          ].map(([title, value]) => (
            <tr key={title}>
              <th scope="row">{title}</th>
              <td>{value}</td>
            </tr>
          ))}
        </Table>
      </section>
      <section class="admin-section" aria-labelledby="admin-by-person">
        <h3 id="admin-by-person">{SAY.byPerson}</h3>
        <p class="hint">
          {SAY.byPersonHint} {SAY.mayKeepHint}
        </p>
        <Table label={SAY.byPerson} heads={[SAY.person, SAY.kept, SAY.openNow, SAY.mayKeep]}>
          {people.map(({ name, bytes, connections, account, max_bytes: most }) => (
            <tr key={name}>
              <th scope="row">
                <bdi>{name === "local" ? SAY.local : name}</bdi>
              </th>
              <td>
                <Kept bytes={bytes} most={most ?? limits.bytes_per_person} />
              </td>
              <td class="number">{connections}</td>
              <td>{account && <MayKeep name={name} most={most} set={setter(admin.limitPerson)} />}</td>
            </tr>
          ))}
        </Table>
      </section>
      <section class="admin-section" aria-labelledby="admin-by-project">
        <h3 id="admin-by-project">{SAY.byProject}</h3>
        <Table label={SAY.byProject} heads={[SAY.project, SAY.kept, SAY.cases, SAY.mayKeep]}>
          {projects.map(({ name, bytes, cases, max_bytes: most }) => (
            <tr key={name}>
              <th scope="row">
                <bdi>{name}</bdi>
              </th>
              <td>
                <Kept bytes={bytes} most={most ?? limits.bytes_per_project} />
              </td>
              <td class="number">{amount(cases)}</td>
              <td>
                <MayKeep name={name} most={most} set={setter(admin.limitProject)} />
              </td>
            </tr>
          ))}
        </Table>
      </section>
    </>
  );
}

interface MayKeepProps {
  readonly name: string;
  readonly most: number | null; // bytes
  readonly set: (name: string, most: number | null) => void;
}

/** A field for what one person or project may keep. */
function MayKeep({ name, most, set }: MayKeepProps) {
  return (
    <form
      class="admin-days"
      onSubmit={(event) => {
        event.preventDefault();
        set(name, admin.bytesIn(new FormData(event.currentTarget).get("most") as string));
      }}
    >
      <input
        name="most"
        class="text-input"
        type="number"
        min={0}
        max={9_000_000}
        step="any"
        aria-label={fill(SAY.mayKeepOf, { name })}
        value={admin.gigabytes(most)}
      />
      <button class="button small">{SAY.set}</button>
    </form>
  );
}

/** How much is kept, and the part that it is of what may be, where there is a limit. */
function Kept({ bytes, most }: { readonly bytes: number; readonly most: number }) {
  if (most === 0) return <>{admin.bytes(bytes)}</>;
  const percent = Math.round((100 * bytes) / most);
  return (
    <span class="admin-kept">
      {admin.bytes(bytes)}
      <meter min={0} max={most} high={0.9 * most} value={bytes} aria-label={fill(SAY.share, { n: percent })} />
      <small>{fill(SAY.share, { n: percent })}</small>
    </span>
  );
}

export function AdminAnonymisation(part: PartProps) {
  const { attempt, tell } = part;
  const { value: found, take } = useUsage(part);
  if (found === null) return null;
  const submit = (project: string, event: SubmitEvent): void => {
    event.preventDefault();
    const chosen = new FormData(event.currentTarget as HTMLFormElement).get("profile") as (typeof PROFILES)[number];
    attempt(async () => {
      take(await admin.setAnonymise(project, chosen === "none" ? null : chosen));
      tell(fill(SAY.profileSet, { project, profile: SAY.profiles[chosen] }));
    });
  };
  return (
    <section class="admin-section" aria-label={SAY.anonymisation}>
      <p class="hint">{SAY.anonymisationHint}</p>
      <Table label={SAY.anonymisation} heads={[SAY.project, SAY.profile]}>
        {found.projects.map(({ name, anonymise, anonymise_at_start: atStart }) => (
          <tr key={name}>
            <th scope="row">
              <bdi>{name}</bdi>
            </th>
            <td>
              {atStart ? (
                `${SAY.profiles[anonymise ?? "none"]} (${SAY.atStart})`
              ) : (
                <form
                  class="admin-days"
                  onSubmit={(event) => {
                    submit(name, event);
                  }}
                >
                  <select name="profile" class="select" aria-label={fill(SAY.profileOf, { project: name })}>
                    {PROFILES.map((one) => (
                      <option key={one} value={one} selected={one === (anonymise ?? "none")}>
                        {SAY.profiles[one]}
                      </option>
                    ))}
                  </select>
                  <button class="button small">{SAY.set}</button>
                </form>
              )}
            </td>
          </tr>
        ))}
      </Table>
      <p class="hint">{SAY.anonymisationSet}</p>
      {!found.anonymises && <p class="hint">{SAY.notInstalled}</p>}
    </section>
  );
}
