/** The people of a server: who they are, how they get in, what they may where, and that they no longer get in. */

import { useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { useEffect } from "preact/hooks";
import * as admin from "../admin";
import * as api from "../api";
import { fill, phrases, plural } from "../phrases";
import { Table, type PartProps } from "./adminparts";

const SAY = phrases.admin;
const ROLES = ["annotator", "reviewer", "admin"] as const;

/** What is told once, to be copied: the link of an invitation, or a token. */
interface Told {
  readonly text: string;
  readonly label: string;
  readonly value: string;
}

/** What is asked once more before it is done. */
interface Question {
  readonly of: string;
  readonly warning: string;
  readonly button: string;
  readonly work: () => Promise<void>;
}

export function AdminPeople(part: PartProps) {
  const { actions, projects, attempt, tell } = part;
  const people = useSignal<readonly admin.Person[] | null>(null);
  const told = useSignal<Told | null>(null);
  const open = useSignal("");
  const asked = useSignal<Question | null>(null);
  const own = actions.store.state.me.name;
  const load = async (): Promise<void> => {
    people.value = await admin.everybody();
  };
  const change = (work: () => Promise<void>): void => {
    asked.value = null;
    attempt(async () => {
      try {
        await work();
      } finally {
        await load(); // as it is now, also where nothing was changed
      }
    });
  };
  useEffect(() => {
    attempt(load);
  }, []);
  const showLink = ({ name, path, days }: api.Invitation): void => {
    told.value = {
      text: fill(phrases.members.link, { name, days }),
      label: phrases.members.linkLabel,
      value: api.address(path.replace(/^\//, "")),
    };
  };
  const invite = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const entered = new FormData(form);
    const [name, role] = [(entered.get("name") as string).trim(), entered.get("role") as api.Role];
    const project = entered.get("where") as string;
    change(async () => {
      showLink(await admin.invite(name, role, project === "" ? null : project));
      form.reset();
    });
  };
  const actionsOf = (one: admin.Person): readonly Question[] => {
    const { name } = one;
    const question = (button: string, warning: string, work: () => Promise<unknown>): Question => ({
      of: name,
      button,
      warning,
      work: async () => {
        await work();
      },
    });
    const link = async (): Promise<void> => {
      showLink(await admin.inviteAgain(name));
    };
    const draw = async (): Promise<void> => {
      const { token } = await admin.drawToken(name);
      told.value = { text: fill(SAY.tokenTold, { name }), label: SAY.tokenLabel, value: token };
    };
    const end = async (): Promise<void> => {
      tell(plural(SAY.ended, (await admin.endLogins(name)).ended));
    };
    const found = [
      question(SAY.newLink, one.password ? fill(SAY.newLinkWarning, { name }) : "", link),
      one.token
        ? question(SAY.drawTokenAgain, fill(SAY.drawTokenWarning, { name }), draw)
        : question(SAY.drawToken, "", draw),
    ];
    if (one.token) {
      found.push(question(SAY.removeToken, fill(SAY.removeTokenWarning, { name }), () => admin.removeToken(name)));
    }
    if (one.logins > 0) found.push(question(SAY.endLogins, fill(SAY.endLoginsWarning, { name }), end));
    if (name !== own) {
      found.push(
        one.disabled
          ? question(SAY.enable, "", () => admin.setDisabled(name, false))
          : question(SAY.disable, fill(SAY.disableWarning, { name }), () => admin.setDisabled(name, true)),
      );
    }
    return found;
  };
  return (
    <>
      <form class="admin-form" onSubmit={invite}>
        <label class="wide">
          {SAY.personName}
          <input name="name" class="text-input" required maxLength={300} autocomplete="off" />
        </label>
        <label>
          {phrases.members.role}
          <select name="role" class="select">
            {ROLES.map((role) => (
              <option key={role} value={role}>
                {phrases.members[role]}
              </option>
            ))}
          </select>
        </label>
        <label>
          {SAY.where}
          <select name="where" class="select">
            <option value="">{SAY.allProjects}</option>
            {projects.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button class="button primary">{phrases.members.invite}</button>
      </form>
      {told.value !== null && (
        <ToldOnce
          told={told.value}
          copied={() => {
            tell(SAY.copied);
          }}
          done={() => {
            told.value = null;
          }}
          part={part}
        />
      )}
      {people.value?.length === 0 && <p class="hint">{SAY.nobody}</p>}
      {people.value !== null && people.value.length > 0 && (
        <Table
          label={phrases.members.list}
          heads={[SAY.personName, SAY.roleEverywhere, SAY.inProjects, SAY.state, SAY.more]}
          name="admin-people"
        >
          {people.value.map((one) => (
            <Fragment key={one.name}>
              <tr class={one.disabled ? "is-off" : ""}>
                <th scope="row">
                  <bdi>{one.name}</bdi>
                </th>
                <td>
                  <RoleChoice
                    label={fill(phrases.members.roleOf, { name: one.name })}
                    role={one.everywhere}
                    none={phrases.members.none}
                    why={one.name === own ? SAY.own : ""}
                    choose={(role) => {
                      change(async () => {
                        await admin.setRole(one.name, role);
                      });
                    }}
                  />
                </td>
                <td>
                  {Object.entries(one.projects).map(([project, role]) => (
                    <div key={project}>
                      <bdi>{project}</bdi>: {phrases.members[role]}
                    </div>
                  ))}
                </td>
                <td>
                  {one.disabled ? phrases.members.disabled : admin.waysOf(one)}
                  {one.logins > 0 && ` · ${plural(SAY.logins, one.logins)}`}
                </td>
                <td>
                  <button
                    type="button"
                    class="button small"
                    aria-expanded={open.value === one.name}
                    aria-label={fill(SAY.detailsOf, { name: one.name })}
                    onClick={() => {
                      open.value = open.value === one.name ? "" : one.name;
                      asked.value = null;
                    }}
                  >
                    {open.value === one.name ? "−" : "+"}
                  </button>
                </td>
              </tr>
              {open.value === one.name && (
                <tr class="admin-more">
                  <td colSpan={5}>
                    <fieldset class="admin-roles">
                      <legend>{SAY.projectRoles}</legend>
                      {projects.map((project) => (
                        <label key={project}>
                          <span dir="auto">{project}</span>
                          <RoleChoice
                            label={fill(SAY.inProject, { name: one.name, project })}
                            role={project in one.projects ? one.projects[project] : null}
                            none={
                              one.everywhere === null
                                ? phrases.members.none
                                : fill(phrases.members.asElsewhere, { role: phrases.members[one.everywhere] })
                            }
                            why={one.everywhere === "admin" ? phrases.members.everywhere : ""}
                            choose={(role) => {
                              change(async () => {
                                await api.setRole(project, one.name, role);
                              });
                            }}
                          />
                        </label>
                      ))}
                    </fieldset>
                    <div class="admin-actions">
                      {actionsOf(one).map((question) => (
                        <button
                          key={question.button}
                          type="button"
                          class="button small"
                          onClick={() => {
                            if (question.warning === "") change(question.work);
                            else asked.value = question;
                          }}
                        >
                          {question.button}
                        </button>
                      ))}
                    </div>
                    {asked.value?.of === one.name && (
                      <div class="admin-question" role="group" aria-label={asked.value.button}>
                        <p>{asked.value.warning}</p>
                        <button
                          type="button"
                          class="button danger"
                          onClick={() => {
                            if (asked.value !== null) change(asked.value.work);
                          }}
                        >
                          {asked.value.button}
                        </button>
                        <button
                          type="button"
                          class="button"
                          onClick={() => {
                            asked.value = null;
                          }}
                        >
                          {phrases.common.cancel}
                        </button>
                      </div>
                    )}
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </Table>
      )}
    </>
  );
}

interface RoleChoiceProps {
  readonly label: string;
  readonly role: api.Role | null;
  readonly none: string;
  readonly why: string; // it cannot be changed here; empty: it can
  readonly choose: (role: api.Role | null) => void;
}

function RoleChoice({ label, role, none, why, choose }: RoleChoiceProps) {
  return (
    <select
      class="select"
      aria-label={label}
      disabled={why !== ""}
      title={why === "" ? undefined : why}
      onChange={({ currentTarget: { value } }) => {
        choose(value === "" ? null : (value as api.Role));
      }}
    >
      {ROLES.map((one) => (
        <option key={one} value={one} selected={one === role}>
          {phrases.members[one]}
        </option>
      ))}
      <option value="" selected={role === null}>
        {none}
      </option>
    </select>
  );
}

interface ToldOnceProps {
  readonly told: Told;
  readonly copied: () => void;
  readonly done: () => void;
  readonly part: PartProps;
}

function ToldOnce({ told, copied, done, part }: ToldOnceProps) {
  return (
    <div class="admin-told" role="status">
      <p>{told.text}</p>
      <input
        class="text-input"
        readOnly
        dir="ltr"
        aria-label={told.label}
        value={told.value}
        onFocus={({ currentTarget }) => {
          currentTarget.select();
        }}
      />
      <button
        type="button"
        class="button"
        onClick={() => {
          part.attempt(async () => {
            await navigator.clipboard.writeText(told.value);
            copied();
          });
        }}
      >
        {phrases.members.copy}
      </button>
      <button type="button" class="button" onClick={done}>
        {SAY.dismiss}
      </button>
    </div>
  );
}
