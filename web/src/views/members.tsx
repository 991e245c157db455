/** Who has a role in a project: for its admins. People are given another role, let go, and invited by a link. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Actions } from "../actions";
import * as api from "../api";
import { fill, phrases } from "../phrases";
import { may } from "../rights";
import { reportErrors, toast } from "../toasts";
import { showRendered } from "./rendered";
import { ProjectChoice } from "./projectchoice";

const SAY = phrases.members;
const ROLES = ["annotator", "reviewer", "admin"] as const;

export async function showMembers(actions: Actions): Promise<void> {
  const { me, opened } = actions.store.state;
  const projects = (await api.projects()).map(({ name }) => name).filter((name) => may(me, "admin", name));
  const usual = opened?.case.project ?? actions.worklist.list.query.value.project;
  const first = projects.includes(usual) ? usual : (projects.at(0) ?? "");
  showRendered("members", SAY.title, () => <Members actions={actions} projects={projects} first={first} />);
}

interface Props {
  readonly actions: Actions;
  readonly projects: readonly string[];
  readonly first: string;
}

function Members({ actions, projects, first }: Props) {
  const project = useSignal(first);
  const people = useSignal<readonly api.Member[] | null>(null);
  const link = useSignal<{ readonly name: string; readonly address: string; readonly days: number } | null>(null);
  const load = (): void => {
    reportErrors(async () => {
      people.value = await api.members(project.value);
    });
  };
  useEffect(load, [project.value]);
  const give = (name: string, role: api.Role | null): void => {
    reportErrors(async () => {
      try {
        people.value = await api.setRole(project.value, name, role);
      } catch (error) {
        people.value = await api.members(project.value); // as it still is
        throw error;
      }
    });
  };
  const invite = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const entered = new FormData(form);
    const [name, role] = [(entered.get("name") as string).trim(), entered.get("role") as api.Role];
    reportErrors(async () => {
      const { path, days } = await api.invite(project.value, name, role);
      link.value = { name, address: api.address(path.replace(/^\//, "")), days };
      form.reset();
      people.value = await api.members(project.value);
    });
  };
  const own = actions.store.state.me.name;
  return (
    <>
      <ProjectChoice
        projects={projects}
        chosen={project.value}
        choose={(name) => {
          people.value = null;
          link.value = null;
          project.value = name;
        }}
      />
      {people.value?.length === 0 && <p class="hint">{SAY.nobody}</p>}
      <ul class="members-list" aria-label={SAY.list}>
        {(people.value ?? []).map((one) => (
          <li key={one.name}>
            <span class="member-name" dir="auto">
              {one.name}
            </span>
            <span class="hint">{said(one)}</span>
            <select
              class="select"
              aria-label={fill(SAY.roleOf, { name: one.name })}
              disabled={one.name === own || one.everywhere === "admin"}
              title={one.name === own ? SAY.own : one.everywhere === "admin" ? SAY.adminOfAll : undefined}
              onChange={({ currentTarget: { value } }) => {
                give(one.name, value === "" ? null : (value as api.Role));
              }}
            >
              {ROLES.map((role) => (
                <option key={role} value={role} selected={role === one.role}>
                  {SAY[role]}
                </option>
              ))}
              <option value="">
                {one.everywhere === null ? SAY.none : fill(SAY.asElsewhere, { role: SAY[one.everywhere] })}
              </option>
            </select>
          </li>
        ))}
      </ul>
      <dl class="members-roles">
        {ROLES.map((role) => (
          <div key={role}>
            <dt>{SAY[role]}</dt>
            <dd>{SAY[`${role}May`]}</dd>
          </div>
        ))}
      </dl>
      <form class="members-invite" onSubmit={invite}>
        <label>
          {SAY.name}
          <input name="name" class="text-input" required maxLength={300} autocomplete="off" />
        </label>
        <label>
          {SAY.role}
          <select name="role" class="select">
            {ROLES.map((role) => (
              <option key={role} value={role}>
                {SAY[role]}
              </option>
            ))}
          </select>
        </label>
        <button class="button primary">{SAY.invite}</button>
      </form>
      {link.value !== null && (
        <div class="members-link" role="status">
          <p>{fill(SAY.link, { name: link.value.name, days: link.value.days })}</p>
          <input
            class="text-input"
            readOnly
            dir="ltr"
            aria-label={SAY.linkLabel}
            value={link.value.address}
            onFocus={({ currentTarget }) => {
              currentTarget.select();
            }}
          />
          <button
            type="button"
            class="button"
            onClick={() => {
              reportErrors(async () => {
                await navigator.clipboard.writeText(link.value?.address ?? "");
                toast(SAY.copied, "good");
              });
            }}
          >
            {SAY.copy}
          </button>
        </div>
      )}
    </>
  );
}

/** Return what there is to say of somebody beside the role. */
function said({ disabled, invited, everywhere }: api.Member): string {
  if (disabled) return SAY.disabled;
  if (invited) return SAY.invited;
  return everywhere === null ? "" : SAY.everywhere;
}
