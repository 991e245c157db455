/** What the person at this page may do: the server enforces it, the page offers nothing else. */

import type { Me, Role } from "./api";

const ROLES: readonly Role[] = ["annotator", "reviewer", "admin"];

/** Return whether a role is this one or a higher one. */
const isAtLeast = (role: Role | null | undefined, least: Role): boolean =>
  role !== null && role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(least);

/** Return the role of a person in a project; whoever is admin of all of them is so in each. */
export function roleIn(me: Me, project: string): Role | null {
  if (me.everywhere === "admin") return "admin";
  return project in me.projects ? me.projects[project] : me.everywhere;
}

export const may = (me: Me, role: Role, project: string): boolean => isAtLeast(roleIn(me, project), role);

/** Return whether a person has that role, or a higher one, in some project. */
export const mayAnywhere = (me: Me, role: Role): boolean =>
  [me.everywhere, ...Object.values(me.projects)].some((one) => isAtLeast(one, role));

/** Somebody who is not known yet; most people use a server alone. */
export const UNKNOWN: Me = { name: "", everywhere: "admin", projects: {}, alone: true };
