/** The choice of a project in a dialog, where there are several. */

import { phrases } from "../phrases";

interface Props {
  readonly projects: readonly string[];
  readonly chosen: string;
  readonly choose: (name: string) => void;
}

export function ProjectChoice({ projects, chosen, choose }: Props) {
  if (projects.length < 2) return null;
  return (
    <label class="members-project">
      {phrases.worklist.project}
      <select
        class="select"
        onChange={({ currentTarget }) => {
          choose(currentTarget.value);
        }}
      >
        {projects.map((name) => (
          <option key={name} value={name} selected={name === chosen}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
