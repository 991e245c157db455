/** The labels that new cases of a project begin with. */

import { useSignal } from "@preact/signals";
import type { Actions } from "../actions";
import * as api from "../api";
import { makesFirst } from "../firstmasks";
import { overlaps } from "../labels";
import { PALETTE } from "../palette";
import { fill, phrases } from "../phrases";
import { reportErrors, toast } from "../toasts";
import { IconButton } from "./elements";
import { showRendered } from "./rendered";
import { codeWords, StructureSearch } from "./structures";

const SAY = phrases.template;

export async function showTemplate(actions: Actions): Promise<void> {
  const project = actions.store.state.opened?.case.project;
  if (project === undefined) return;
  const known = (await api.projects()).find(({ name }) => name === project);
  showRendered("template", fill(SAY.title, { project }), (close) => (
    <Template
      actions={actions}
      project={project}
      labels={known?.template ?? []}
      first={known?.first ?? null}
      close={close}
    />
  ));
}

interface Props {
  readonly actions: Actions;
  readonly project: string;
  readonly labels: readonly api.TemplateLabel[];
  readonly first: api.Project["first"];
  readonly close: () => void;
}

function Template({ actions, project, labels, first, close }: Props) {
  const list = useSignal(labels);
  const method = useSignal(first?.method ?? "");
  const dice = useSignal(first === null ? "" : String(first.dice));
  const able = actions.store.state.methods.filter(makesFirst);
  const put = (at: number, changed: Partial<api.TemplateLabel>): void => {
    list.value = list.value.map((label, i) => (i === at ? { ...label, ...changed } : label));
  };
  const move = (at: number, by: 1 | -1): void => {
    const next = [...list.value];
    [next[at], next[at + by]] = [next[at + by], next[at]];
    list.value = next;
  };
  const add = (name: string, codes: api.Codes | null): void => {
    if (list.value.some((label) => label.name.toLowerCase() === name.toLowerCase())) return;
    list.value = [...list.value, { name, colour: PALETTE[list.value.length % PALETTE.length], codes, overlaps: false }];
  };
  const save = (event: Event): void => {
    event.preventDefault();
    reportErrors(async () => {
      await api.setTemplate(project, list.value);
      const measured = dice.value === "" ? null : Number(dice.value);
      const changed = await api.setFirstMasks(project, method.value || null, method.value === "" ? null : measured);
      if (actions.store.state.opened?.case.project === project) actions.store.set({ project: changed });
      toast(list.value.length === 0 ? SAY.none : SAY.saved, "good");
      close();
    });
  };
  return (
    <form onSubmit={save}>
      <p class="hint">{SAY.hint}</p>
      <StructureSearch
        id="template-search"
        label={SAY.add}
        onPick={({ name, codes }) => {
          add(name, codes);
        }}
      />
      <ul class="template-list" aria-label={SAY.list}>
        {list.value.map((label, i) => (
          <li key={i}>
            <input
              type="color"
              class="label-colour"
              aria-label={fill(phrases.labels.colour, { name: label.name })}
              value={hex(label.colour)}
              onChange={({ currentTarget }) => {
                put(i, { colour: colourOf(currentTarget.value) });
              }}
            />
            <input
              class="text-input"
              aria-label={fill(SAY.name, { n: i + 1 })}
              required
              maxLength={60}
              value={label.name}
              onInput={({ currentTarget }) => {
                put(i, { name: currentTarget.value });
              }}
            />
            <label class="template-overlaps" title={phrases.labelling.overlapsTitle}>
              <input
                type="checkbox"
                aria-label={fill(SAY.overlaps, { name: label.name })}
                checked={label.overlaps}
                onChange={({ currentTarget }) => {
                  put(i, { overlaps: currentTarget.checked });
                }}
              />
              {SAY.mayOverlap}
            </label>
            <span class="template-code">
              {label.codes === null || label.codes === undefined ? SAY.byName : codeWords(label.codes)}
            </span>
            <IconButton
              name="up"
              small
              label={fill(SAY.up, { name: label.name })}
              disabled={i === 0}
              onClick={() => {
                move(i, -1);
              }}
            />
            <IconButton
              name="down"
              small
              label={fill(SAY.down, { name: label.name })}
              disabled={i === list.value.length - 1}
              onClick={() => {
                move(i, 1);
              }}
            />
            <IconButton
              name="close"
              small
              label={fill(SAY.out, { name: label.name })}
              onClick={() => {
                list.value = list.value.filter((_, at) => at !== i);
              }}
            />
          </li>
        ))}
      </ul>
      {able.length > 0 && (
        <div class="template-first">
          <label for="template-first">{phrases.firstMasks.by}</label>
          <select
            id="template-first"
            class="select"
            title={phrases.firstMasks.byTitle}
            value={method.value}
            onChange={({ currentTarget }) => {
              method.value = currentTarget.value;
            }}
          >
            <option value="">{phrases.firstMasks.nobody}</option>
            {able.map(({ id, title }) => (
              <option key={id} value={id} lang="en">
                {title}
              </option>
            ))}
          </select>
          {method.value !== "" && (
            <label class="template-dice" title={phrases.firstMasks.diceTitle}>
              {phrases.firstMasks.dice}
              <input
                class="text-input"
                type="number"
                min={0.01}
                max={1}
                step={0.01}
                value={dice.value}
                onInput={({ currentTarget }) => {
                  dice.value = currentTarget.value;
                }}
              />
            </label>
          )}
        </div>
      )}
      <div class="template-buttons">
        <button
          type="button"
          class="button"
          onClick={() => {
            const { labels } = actions.store.state;
            const names = [...new Set(labels.map(({ name }) => name))]; // objects have one together
            list.value = names.flatMap((name) => {
              const label = labels.find((one) => one.name === name);
              if (label === undefined) return [];
              const { colour, codes } = label;
              return [{ name, colour, codes: codes ?? null, overlaps: overlaps(label) }];
            });
          }}
        >
          {SAY.asHere}
        </button>
        <button
          type="button"
          class="button"
          disabled={list.value.length === 0}
          onClick={() => {
            actions.labels.addAll(list.value);
            close();
          }}
        >
          {SAY.addHere}
        </button>
        <span class="spacer" />
        <button class="button primary">{phrases.common.save}</button>
      </div>
    </form>
  );
}

export const hex = (colour: api.Label["colour"]): string =>
  `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;

export function colourOf(text: string): api.Label["colour"] {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)) as [number, number, number];
  return [r, g, b];
}
