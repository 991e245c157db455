/** The panel beside OHIF's pictures. It lives in a shadow tree, so neither page's styles reach the other. */

import { render } from "preact";
import type { Label } from "../api";
import { direction, fill, language, nameOfPrompt, phrases, plural } from "../phrases";
import { LEAST_MM, MOST_MM, type ReachKind, reachesOf } from "../reach";
import type { Tool } from "./drawing";
import { overlapping } from "./shown";
import type { Target, Work } from "./work";

const SAY = phrases.ohif;
const TOOLS: readonly Tool[] = ["click", "box", "stroke", "lasso"];
const MOST_RADIUS = 20; // voxels
const STYLE = `
  :host { display: block; height: 100%; overflow-y: auto; }
  .panel { color: #e5e7eb; font: 13px/1.4 Inter, system-ui, sans-serif; padding: 10px; display: grid; gap: 10px; }
  button, input, select { font: inherit; color: inherit; background: #111827; border: 1px solid #4b5563;
    border-radius: 4px; padding: 4px 8px; min-height: 28px; box-sizing: border-box; }
  button { cursor: pointer; }
  button:hover:enabled { border-color: #93c5fd; }
  button:disabled { opacity: 0.45; cursor: default; }
  button[aria-pressed="true"] { background: #1d4ed8; border-color: #93c5fd; }
  :focus-visible { outline: 2px solid #93c5fd; outline-offset: 1px; }
  .main { background: #1d4ed8; border-color: #1d4ed8; }
  .row { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
  .row > * { flex: 1 1 auto; min-width: 0; }
  .said { margin: 0; min-height: 2.8em; overflow-wrap: anywhere; }
  .trouble { color: #fca5a5; }
  h2 { font-size: 13px; font-weight: 600; margin: 4px 0 0; color: #9ca3af; }
  ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 4px; }
  li { display: flex; gap: 6px; align-items: center; }
  li input[type="text"] { flex: 1; min-width: 0; }
  .colour { width: 28px; flex: none; padding: 0; }
  .colour[aria-pressed="true"] { outline: 2px solid #fff; outline-offset: 1px; }
  label { display: flex; gap: 8px; align-items: center; }
  label select { flex: 1; min-width: 0; }
  .enough { margin: 0; color: #86efac; }
  label input[type="range"] { flex: 1; padding: 0; min-width: 0; }
  a { color: #93c5fd; }
`;

/** Return an element with the panel, which is put wherever OHIF shows it. */
export function panelOf(work: Work): HTMLElement {
  const host = document.createElement("div");
  host.id = "segmend-panel";
  host.lang = language;
  host.dir = direction;
  host.style.height = "100%";
  render(<Panel work={work} />, host.attachShadow({ mode: "open" }));
  return host;
}

function Panel({ work }: { readonly work: Work }) {
  const { text, trouble } = work.said.value;
  const opened = work.opened.value;
  const waiting = work.waiting.value;
  return (
    <div class="panel">
      <style>{STYLE}</style>
      <button
        type="button"
        class="main"
        disabled={work.busy.value}
        onClick={() => {
          void work.open();
        }}
      >
        {opened === null ? SAY.open : SAY.openOther}
      </button>
      <p class={trouble ? "said trouble" : "said"} role="status">
        {work.answering.value && !trouble ? SAY.answering : text}
        {waiting > 0 && !work.connected.value ? ` ${plural(SAY.waiting, waiting)}` : ""}
      </p>
      {work.wantsToken.value && <Token work={work} />}
      {opened !== null && (
        <>
          <Tools work={work} prompts={opened.prompts} />
          <Reach work={work} flat={opened.shape[0] === 1} />
          <Labels work={work} />
          <Enough work={work} />
          <div class="row">
            <button
              type="button"
              disabled={!work.canUndo || work.folded.value.done.length === 0}
              onClick={() => {
                work.undo();
              }}
            >
              {phrases.header.undo}
            </button>
            <button
              type="button"
              disabled={work.folded.value.undone.length === 0}
              onClick={() => {
                work.redo();
              }}
            >
              {phrases.header.redo}
            </button>
            <button
              type="button"
              disabled={work.busy.value}
              onClick={() => {
                void work.next();
              }}
            >
              {SAY.next}
            </button>
          </div>
          <Save work={work} />
          <a href={work.server.annotator(opened.case)} target="_blank" rel="noopener noreferrer">
            {SAY.annotator}
          </a>
        </>
      )}
    </div>
  );
}

function Token({ work }: { readonly work: Work }) {
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        const field = event.currentTarget.elements.namedItem("token") as HTMLInputElement;
        work.server.enter(field.value.trim());
        void work.open();
      }}
    >
      <input type="password" name="token" autocomplete="off" placeholder={SAY.token} aria-label={SAY.token} required />
      <button type="submit">{SAY.enter}</button>
    </form>
  );
}

function Tools({ work, prompts }: { readonly work: Work; readonly prompts: readonly string[] }) {
  const chosen = work.tool.value;
  return (
    <>
      <h2>{SAY.tools}</h2>
      <div class="row" role="group" aria-label={SAY.tools}>
        {TOOLS.filter((tool) => prompts.includes(tool)).map((tool) => (
          <button
            key={tool}
            type="button"
            data-tool={tool}
            aria-pressed={chosen === tool}
            onClick={() => {
              work.tool.value = chosen === tool ? null : tool;
            }}
          >
            {nameOfPrompt(tool)}
          </button>
        ))}
      </div>
      <div class="row" role="group" aria-label={SAY.sign}>
        {[true, false].map((positive) => (
          <button
            key={String(positive)}
            type="button"
            title={SAY.signTitle}
            aria-pressed={work.positive.value === positive}
            disabled={chosen === null || chosen === "box"}
            onClick={() => {
              work.positive.value = positive;
            }}
          >
            {positive ? SAY.belongs : SAY.belongsNot}
          </button>
        ))}
      </div>
      {chosen === "stroke" && (
        <label>
          {SAY.radius}
          <input
            type="range"
            min="0.5"
            max={MOST_RADIUS}
            step="0.5"
            value={work.radius.value}
            onInput={(event) => {
              work.radius.value = Number(event.currentTarget.value);
            }}
          />
        </label>
      )}
    </>
  );
}

/** How far the marks to come may change the mask, and whether the slice that is shown may change at all. */
function Reach({ work, flat }: { readonly work: Work; readonly flat: boolean }) {
  const reach = work.reach.value === "slice" && flat ? "whole" : work.reach.value;
  const mm = work.reachMm.value;
  return (
    <>
      <label title={SAY.reachTitle}>
        {phrases.reach.title}
        <select
          value={reach}
          onChange={(event) => {
            work.reach.value = event.currentTarget.value as ReachKind;
          }}
        >
          {reachesOf(flat).map((kind) => (
            <option key={kind} value={kind}>
              {phrases.reach[kind]}
            </option>
          ))}
        </select>
      </label>
      {reach === "near" && (
        <label>
          {fill(phrases.reach.mm, { mm })}
          <input
            type="range"
            aria-label={phrases.reach.distance}
            min={LEAST_MM}
            max={MOST_MM}
            step="1"
            value={mm}
            onInput={(event) => {
              work.reachMm.value = Number(event.currentTarget.value);
            }}
          />
        </label>
      )}
      {!flat && (
        <button
          type="button"
          title={SAY.lockTitle}
          aria-pressed={work.isLocked}
          disabled={work.slice.value === null}
          onClick={() => {
            work.lockSlice();
          }}
        >
          {SAY.lock}
        </button>
      )}
    </>
  );
}

/** That marks better the mask no more, where that is known. */
function Enough({ work }: { readonly work: Work }) {
  const label = work.folded.value.labels.find(({ value }) => value === work.label.value);
  if (label === undefined || !work.isEnough) return null;
  return (
    <p class="enough" role="note">
      {fill(phrases.look.enough, { name: label.name })}
    </p>
  );
}

function Labels({ work }: { readonly work: Work }) {
  return (
    <>
      <h2>{SAY.labels}</h2>
      <ul>
        {work.folded.value.labels.map((label) => (
          <Row key={label.value} work={work} label={label} />
        ))}
      </ul>
      {overlapping(work.folded.value.labels).length > 0 && <p class="said">{SAY.overlap}</p>}
      <button
        type="button"
        onClick={() => {
          work.addLabel();
        }}
      >
        {SAY.addLabel}
      </button>
    </>
  );
}

function Row({ work, label }: { readonly work: Work; readonly label: Label }) {
  return (
    <li>
      <button
        type="button"
        class="colour"
        style={{ background: `rgb(${label.colour.join(" ")})` }}
        title={SAY.choosing}
        aria-label={`${SAY.choosing}: ${label.name}`}
        aria-pressed={work.label.value === label.value}
        onClick={() => {
          work.choose(label.value);
        }}
      />
      <input
        type="text"
        dir="auto"
        value={label.name}
        aria-label={SAY.name}
        maxLength={200}
        onFocus={() => {
          work.choose(label.value);
        }}
        onChange={(event) => {
          work.rename(label, event.currentTarget.value);
        }}
        onKeyDown={(event) => {
          event.stopPropagation(); // OHIF has a shortcut on most letters
        }}
      />
    </li>
  );
}

function Save({ work }: { readonly work: Work }) {
  const targets = work.targets.value;
  const nameOf = (target: Target): string => (target === "viewer" ? SAY.viewersArchive : target.archive);
  if (targets.length === 0) return <p class="said">{SAY.keptHere}</p>;
  return (
    <>
      <h2>{SAY.saveTitle}</h2>
      <div class="row">
        {targets.map((target) => (
          <button
            key={nameOf(target)}
            type="button"
            disabled={work.busy.value || work.answering.value}
            onClick={() => {
              void work.save(target);
            }}
          >
            {nameOf(target)}
          </button>
        ))}
      </div>
    </>
  );
}
