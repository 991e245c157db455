/** Cases given to readers, and how far these agree: for the reviewers of a project. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Actions } from "../actions";
import { pointsOf, summaries, ticks, type Point } from "../agreement";
import * as api from "../api";
import { fill, phrases, plural } from "../phrases";
import { may } from "../rights";
import { reportErrors, toast } from "../toasts";
import { duration } from "../worklist";
import { fixed, rounded } from "../words";
import { showRendered } from "./rendered";
import { ProjectChoice } from "./projectchoice";

const SAY = phrases.readings;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [480, 178, 44, 36];

export async function showReadings(actions: Actions): Promise<void> {
  const { me, opened } = actions.store.state;
  const projects = (await api.projects()).map(({ name }) => name).filter((name) => may(me, "reviewer", name));
  const usual = opened?.case.project ?? actions.worklist.list.query.value.project;
  const first = projects.includes(usual) ? usual : (projects.at(0) ?? "");
  showRendered("readings", SAY.title, (close) => (
    <ReadingsOf actions={actions} projects={projects} first={first} close={close} />
  ));
}

interface Props {
  readonly actions: Actions;
  readonly projects: readonly string[];
  readonly first: string;
  readonly close: () => void;
}

function ReadingsOf({ actions, projects, first, close }: Props) {
  const project = useSignal(first);
  const people = useSignal<readonly api.Reader[] | null>(null); // until they are known
  const rows = useSignal<readonly api.Agreement[]>([]);
  const load = async (): Promise<void> => {
    const name = project.value;
    const [readers, agreement] = await Promise.all([api.readers(name), api.agreement(name)]);
    if (project.value !== name) return;
    people.value = readers;
    rows.value = agreement;
  };
  useEffect(() => {
    reportErrors(load);
  }, [project.value]);
  return (
    <>
      <ProjectChoice
        projects={projects}
        chosen={project.value}
        choose={(name) => {
          project.value = name;
        }}
      />
      {people.value !== null && (
        <>
          <Give actions={actions} project={project.value} people={people.value} close={close} />
          <Agreement project={project.value} rows={rows.value} />
        </>
      )}
    </>
  );
}

interface GiveProps {
  readonly actions: Actions;
  readonly project: string;
  readonly people: readonly api.Reader[];
  readonly close: () => void;
}

function Give({ actions, project, people, close }: GiveProps) {
  const how = useSignal<api.Plan["how"]>("turns");
  const opened = actions.store.state.opened?.case;
  const here = opened !== undefined && opened.project === project && opened.reading === null;
  const give = (event: Event): void => {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement);
    const readers = how.value === "pull" ? [] : entered.getAll("reader").map((one) => one as string);
    const cases = here && entered.get("which") === "open" ? [opened.id] : null;
    const plan = { cases, readers, how: how.value, each: Number(entered.get("each")), blind: entered.has("blind") };
    reportErrors(async () => {
      const given = await api.plan(project, plan);
      toast(plural(SAY.given, given.cases), "good");
      close();
      await actions.worklist.refresh();
      await actions.work.update();
    });
  };
  return (
    <form class="give" onSubmit={give}>
      <h3>{SAY.give}</h3>
      <div class="give-row">
        <label>
          {SAY.which}
          <select name="which" class="select">
            {here && <option value="open">{fill(SAY.thisCase, { name: opened.name })}</option>}
            <option value="all">{SAY.allCases}</option>
          </select>
        </label>
        <label>
          {SAY.how}
          <select
            class="select"
            onChange={({ currentTarget: { value } }) => {
              how.value = value as api.Plan["how"];
            }}
          >
            <option value="turns">{SAY.turns}</option>
            <option value="all">{SAY.everyone}</option>
            <option value="pull">{SAY.pull}</option>
          </select>
        </label>
        <label hidden={how.value === "all"}>
          {SAY.each}
          <input name="each" class="text-input" type="number" min={1} max={8} value={2} required />
        </label>
      </div>
      {how.value !== "pull" && (
        <fieldset class="give-readers">
          <legend>{SAY.readers}</legend>
          {people.length === 0 && <p class="hint">{SAY.nobody}</p>}
          {people.map(({ name, role }) => (
            <label key={name} class="check">
              <input type="checkbox" name="reader" value={name} />
              {name} <small>{phrases.members[role]}</small>
            </label>
          ))}
        </fieldset>
      )}
      <div class="give-row">
        <label class="check">
          <input type="checkbox" name="blind" checked />
          {SAY.blind}
        </label>
        <button class="button primary">{SAY.giveButton}</button>
      </div>
    </form>
  );
}

function Agreement({ project, rows }: { readonly project: string; readonly rows: readonly api.Agreement[] }) {
  const pairs = summaries(rows);
  const points = pointsOf(rows);
  const nameOf = (name: string): string => (name === "decision" ? SAY.decision : name);
  return (
    <section class="agreement" aria-label={SAY.agreement}>
      <h3>{SAY.agreement}</h3>
      {pairs.length === 0 ? (
        <p class="hint">{SAY.none}</p>
      ) : (
        <>
          <table>
            <thead>
              <tr>
                <th>{SAY.pair}</th>
                <th>{SAY.cases}</th>
                <th>{SAY.mean}</th>
                <th>{SAY.lowest}</th>
              </tr>
            </thead>
            <tbody>
              {pairs.map(({ one, other, cases, mean, lowest }) => (
                <tr key={`${one}\n${other}`}>
                  <td>{`${nameOf(one)} – ${nameOf(other)}`}</td>
                  <td>{cases}</td>
                  <td>{fixed(mean, 3)}</td>
                  <td>{fixed(lowest, 3)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {points.length > 0 && <Plot points={points} />}
          <a class="button small" href={api.agreementTable(project)} download="agreement.csv">
            {SAY.table}
          </a>
        </>
      )}
    </section>
  );
}

/** The lowest Dice among the readers of each case over the time that reading took. */
function Plot({ points }: { readonly points: readonly Point[] }) {
  const along = ticks(Math.max(1, ...points.map(({ seconds }) => seconds)));
  const last = along[along.length - 1];
  const x = (seconds: number): number => LEFT + ((WIDTH - LEFT - 10) * seconds) / last;
  const y = (dice: number): number => 8 + (HEIGHT - BOTTOM - 8) * (1 - dice);
  return (
    <svg class="agreement-plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={SAY.plot}>
      {[0, 0.25, 0.5, 0.75, 1].map((dice) => (
        <g key={dice}>
          <line x1={LEFT} x2={WIDTH - 10} y1={y(dice)} y2={y(dice)} />
          <text x={LEFT - 6} y={y(dice) + 4} text-anchor="end">
            {rounded(dice)}
          </text>
        </g>
      ))}
      {along.map((seconds) => (
        <text key={seconds} x={x(seconds)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">
          {seconds < 60 ? `${seconds} s` : `${rounded(Math.round(seconds / 6) / 10)} min`}
        </text>
      ))}
      <text x={12} y={(HEIGHT - BOTTOM) / 2} transform={`rotate(-90 12 ${(HEIGHT - BOTTOM) / 2})`} text-anchor="middle">
        Dice
      </text>
      <text x={(WIDTH + LEFT) / 2} y={HEIGHT - 5} text-anchor="middle">
        {SAY.time}
      </text>
      {points.map(({ name, dice, seconds }, i) => (
        <circle key={i} cx={x(seconds)} cy={y(dice)} r={4}>
          <title>{`${name}: Dice ${fixed(dice, 3)}, ${duration(seconds)}`}</title>
        </circle>
      ))}
    </svg>
  );
}
