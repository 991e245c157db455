/** What a server keeps of what may be kept, and by which profile cases of its projects are anonymised. */

import * as admin from "../admin";
import { amount, fill, phrases } from "../phrases";
import { Table, useUsage, type PartProps } from "./adminparts";

const SAY = phrases.admin;

export function AdminUsage(part: PartProps) {
  const found = useUsage(part).value;
  if (found === null) return null;
  const { storage, limits, people, projects } = found;
  const room = (bytes: number | null): string => (bytes === null ? SAY.elsewhere : admin.bytes(bytes));
  const bytesOrNone = (bytes: number): string => (bytes === 0 ? SAY.noLimit : admin.bytes(bytes));
  const numberOrNone = (n: number): string => (n === 0 ? SAY.noLimit : amount(n));
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
        <p class="hint">{SAY.byPersonHint}</p>
        <Table label={SAY.byPerson} heads={[SAY.person, SAY.kept, SAY.openNow]}>
          {people.map(({ name, bytes, connections }) => (
            <tr key={name}>
              <th scope="row">
                <bdi>{name === "local" ? SAY.local : name}</bdi>
              </th>
              <td>
                <Kept bytes={bytes} most={limits.bytes_per_person} />
              </td>
              <td class="number">{connections}</td>
            </tr>
          ))}
        </Table>
      </section>
      <section class="admin-section" aria-labelledby="admin-by-project">
        <h3 id="admin-by-project">{SAY.byProject}</h3>
        <Table label={SAY.byProject} heads={[SAY.project, SAY.kept, SAY.cases]}>
          {projects.map(({ name, bytes, cases }) => (
            <tr key={name}>
              <th scope="row">
                <bdi>{name}</bdi>
              </th>
              <td>
                <Kept bytes={bytes} most={limits.bytes_per_project} />
              </td>
              <td class="number">{amount(cases)}</td>
            </tr>
          ))}
        </Table>
      </section>
    </>
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
  const found = useUsage(part).value;
  if (found === null) return null;
  return (
    <section class="admin-section" aria-label={SAY.anonymisation}>
      <p class="hint">{SAY.anonymisationHint}</p>
      <Table label={SAY.anonymisation} heads={[SAY.project, SAY.profile]}>
        {found.projects.map(({ name, anonymise }) => (
          <tr key={name}>
            <th scope="row">
              <bdi>{name}</bdi>
            </th>
            <td>{SAY.profiles[anonymise ?? "none"]}</td>
          </tr>
        ))}
      </Table>
      <p class="hint">{SAY.anonymisationSet}</p>
      {!found.anonymises && <p class="hint">{SAY.notInstalled}</p>}
    </section>
  );
}
