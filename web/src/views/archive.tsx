/** The dialogs of archives (PACS): search one, fetch series as cases, and send masks back. */

import "../archive.css";
import { type Signal, signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Actions } from "../actions";
import * as archive from "../archive";
import { fill, phrases } from "../phrases";
import { reportErrors, toast } from "../toasts";
import { Icon } from "./elements";
import { showRendered } from "./rendered";

const SAY = phrases.archive;
const ASK_MS = 700; // between two questions how far the imports are

/** The archives that the server knows, once they have been asked for. */
const known = signal<readonly archive.Archive[]>([]);
/** One's own imports by series, the newest of each. */
const imports = signal<ReadonlyMap<string, archive.Import>>(new Map());
let watching = false;

/** A button that opens the search, where the server knows an archive. */
export function FromArchive({ actions }: { readonly actions: Actions }) {
  useEffect(() => {
    archive.archives().then(
      (found) => {
        known.value = found;
      },
      () => undefined, // a lost connection is told elsewhere
    );
  }, []);
  if (known.value.length === 0) return null;
  return (
    <button
      type="button"
      class="button from-archive"
      onClick={() => {
        showArchive(actions);
      }}
    >
      <Icon name="download" />
      {SAY.from}
    </button>
  );
}

/** Can masks of a case with original files be sent somewhere. */
export const hasArchives = (): boolean => known.value.length > 0;

function showArchive(actions: Actions): void {
  showRendered("archive", SAY.from, (close) => <Search actions={actions} close={close} />);
  reportErrors(() => watch(actions));
}

/** Which archive: written to `name`. */
function ArchiveChoice({ name }: { readonly name: Signal<string> }) {
  return (
    <label class="filter">
      <span>{SAY.archive}</span>
      <select
        class="select"
        onChange={({ currentTarget }) => {
          name.value = currentTarget.value;
        }}
      >
        {known.value.map((one) => (
          <option key={one.name} value={one.name} selected={one.name === name.value}>
            {one.name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface Props {
  readonly actions: Actions;
  readonly close: () => void;
}

interface Found {
  readonly archive: string;
  readonly wanted: archive.Wanted;
  readonly offset: number;
  readonly page: archive.StudyPage;
}

function Search({ actions, close }: Props) {
  const name = useSignal(known.value[0]?.name ?? "");
  const wanted = useSignal(archive.ANYTHING);
  const found = useSignal<Found | null>(null);
  const error = useSignal("");
  const busy = useSignal(false);
  const ask = async (of: string, what: archive.Wanted, offset: number): Promise<void> => {
    busy.value = true;
    error.value = "";
    try {
      found.value = { archive: of, wanted: what, offset, page: await archive.studies(of, what, offset) };
    } catch (reason) {
      found.value = null;
      error.value = reason instanceof Error ? reason.message : String(reason);
    } finally {
      busy.value = false;
    }
  };
  const text = (key: keyof archive.Wanted, title: string, type = "text", hint = "") => (
    <label class="filter">
      <span>{title}</span>
      <input
        class="text-input"
        type={type}
        maxLength={64}
        placeholder={hint}
        value={wanted.value[key]}
        onInput={({ currentTarget }) => {
          wanted.value = { ...wanted.value, [key]: currentTarget.value };
        }}
      />
    </label>
  );
  return (
    <>
      <form
        class="archive-search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          void ask(name.value, wanted.value, 0);
        }}
      >
        {known.value.length > 1 && <ArchiveChoice name={name} />}
        {text("patient", SAY.patient, "text", SAY.patientHint)}
        {text("patientId", SAY.patientId)}
        {text("since", SAY.since, "date")}
        {text("until", SAY.until, "date")}
        <label class="filter">
          <span>{SAY.modality}</span>
          <select
            class="select"
            onChange={({ currentTarget }) => {
              wanted.value = { ...wanted.value, modality: currentTarget.value };
            }}
          >
            {["", ...archive.MODALITIES].map((code) => (
              <option key={code} value={code} selected={code === wanted.value.modality}>
                {code === "" ? SAY.any : code}
              </option>
            ))}
          </select>
        </label>
        {text("description", SAY.description, "text", SAY.descriptionHint)}
        <button class="button primary" disabled={busy.value}>
          {SAY.search}
        </button>
      </form>
      <div class="archive-found" aria-busy={busy.value}>
        {error.value !== "" && (
          <p class="archive-error" role="alert">
            {error.value}
          </p>
        )}
        {found.value === null ? (
          error.value === "" && <p class="hint">{busy.value ? SAY.asking : SAY.fillIn}</p>
        ) : (
          <Studies actions={actions} close={close} found={found.value} />
        )}
      </div>
      {found.value !== null && <Pages found={found.value} busy={busy.value} ask={ask} />}
    </>
  );
}

function Pages(props: {
  readonly found: Found;
  readonly busy: boolean;
  readonly ask: (of: string, what: archive.Wanted, offset: number) => Promise<void>;
}) {
  const { found, busy, ask } = props;
  const { offset, page } = found;
  const turn = (to: number, words: string, disabled: boolean) => (
    <button
      type="button"
      class="button small"
      disabled={disabled || busy}
      onClick={() => {
        void ask(found.archive, found.wanted, to);
      }}
    >
      {words}
    </button>
  );
  const last = offset + page.studies.length;
  return (
    <div class="dialog-buttons archive-pages">
      <span class="hint" role="status">
        {page.studies.length === 0 ? "" : fill(page.more ? SAY.pages : SAY.lastPage, { from: offset + 1, to: last })}
      </span>
      {turn(Math.max(0, offset - archive.PAGE), SAY.previous, offset === 0)}
      {turn(offset + archive.PAGE, SAY.next, !page.more)}
    </div>
  );
}

function Studies({ actions, close, found }: Props & { readonly found: Found }) {
  const { studies } = found.page;
  if (studies.length === 0) return <p class="hint">{SAY.none}</p>;
  return (
    <ul class="archive-studies" aria-label={SAY.studies}>
      {studies.map((study) => (
        <Study key={`${found.archive} ${study.uid}`} actions={actions} close={close} of={found.archive} study={study} />
      ))}
    </ul>
  );
}

function Study({ actions, close, of, study }: Props & { readonly of: string; readonly study: archive.Study }) {
  const open = useSignal(false);
  const series = useSignal<readonly archive.Series[] | null>(null);
  const error = useSignal("");
  const load = async (): Promise<void> => {
    try {
      series.value = await archive.seriesOf(of, study.uid);
      error.value = "";
    } catch (reason) {
      error.value = reason instanceof Error ? reason.message : String(reason);
    }
  };
  const done = [...imports.value.values()].filter((one) => one.study === study.uid && one.stage === "done").length;
  useEffect(() => {
    if (open.value && done > 0) void load(); // what was fetched is here now
  }, [done]);
  const name = archive.nameOf(study.patient);
  return (
    <li>
      <button
        type="button"
        class="archive-study"
        aria-expanded={open.value}
        onClick={() => {
          open.value = !open.value;
          if (open.value && series.value === null) void load();
        }}
      >
        <span class="archive-date">{study.date === "" ? SAY.noDate : study.date}</span>
        <span class="archive-patient">
          {name === "" ? SAY.noName : name}
          {study.patient_id !== "" && <small> {study.patient_id}</small>}
        </span>
        <span class="archive-modalities">{study.modalities.join(", ")}</span>
        <span class="archive-description">{study.description}</span>
      </button>
      {open.value && (
        <ul class="archive-series" aria-label={SAY.series}>
          {error.value !== "" && (
            <li class="archive-error" role="alert">
              {error.value}
            </li>
          )}
          {error.value === "" && series.value === null && <li class="hint">{SAY.asking}</li>}
          {series.value?.length === 0 && <li class="hint">{SAY.noSeries}</li>}
          {(series.value ?? []).map((one) => (
            <Series key={one.uid} actions={actions} close={close} of={of} one={one} />
          ))}
        </ul>
      )}
    </li>
  );
}

const NO_IMAGES: ReadonlySet<string> = new Set(["SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC"]);

function Series({ actions, close, of, one }: Props & { readonly of: string; readonly one: archive.Series }) {
  const running = imports.value.get(one.uid);
  const going = running !== undefined && !archive.isOver(running);
  const here = running?.stage === "done" ? running.cases.at(-1) : one.cases.at(-1);
  const title = one.description === "" ? SAY.noDescription : one.description;
  return (
    <li class="archive-one">
      <span class="archive-modalities">{one.modality}</span>
      <span class="archive-title">{title}</span>
      <span class="archive-count">{archive.countWords(one.instances)}</span>
      <span class="archive-acts">
        {going && (
          <>
            <progress
              aria-label={fill(SAY.fetching, { name: title })}
              max={1}
              value={archive.partOf(running, one.instances) ?? undefined}
            />
            <button
              type="button"
              class="button small"
              onClick={() => {
                reportErrors(async () => {
                  await archive.cancel(running.id);
                  await look();
                });
              }}
            >
              {phrases.common.cancel}
            </button>
          </>
        )}
        {!going && here !== undefined && (
          <button
            type="button"
            class="button small primary"
            onClick={() => {
              close();
              reportErrors(() => actions.cases.open(here));
            }}
          >
            {SAY.open}
          </button>
        )}
        {!going && here === undefined && !NO_IMAGES.has(one.modality) && (
          <button
            type="button"
            class="button small"
            onClick={() => {
              reportErrors(async () => {
                await archive.begin(of, one, actions.worklist.list.query.value.project);
                await look();
                void watch(actions);
              });
            }}
          >
            {SAY.fetch}
          </button>
        )}
      </span>
      {running !== undefined && running.stage !== "done" && (
        <span class={running.stage === "failed" ? "archive-error" : "hint"} role="status">
          {archive.progressWords(running, one.instances)}
        </span>
      )}
    </li>
  );
}

/** Ask how far one's own imports are; return those that are over now and were not before. */
async function look(): Promise<readonly archive.Import[]> {
  const before = imports.value;
  const now = await archive.imports();
  imports.value = new Map(now.map((one) => [one.series, one]));
  return now.filter((one) => {
    const old = before.get(one.series);
    return archive.isOver(one) && old?.id === one.id && !archive.isOver(old);
  });
}

/** Follow one's own imports until all are over, also while the dialog is closed; new cases come into the list. */
async function watch(actions: Actions): Promise<void> {
  if (watching) return;
  watching = true;
  try {
    do {
      const over = await look();
      if (over.some(({ stage }) => stage === "done")) await actions.worklist.refresh();
      if (document.querySelector("dialog.archive") === null) over.forEach(tell);
      if ([...imports.value.values()].every(archive.isOver)) return;
      await new Promise((done) => setTimeout(done, ASK_MS));
    } while (known.value.length > 0);
  } finally {
    watching = false;
  }
}

function tell(one: archive.Import): void {
  if (one.stage === "done") toast(SAY.came, "good");
  if (one.stage === "failed") toast(fill(SAY.failed, { why: one.error }), "error");
}

// Masks back

/** Ask where the masks of the open case are to be sent, and how; and send them. */
export function showSend(actions: Actions): void {
  const { opened } = actions.store.state;
  if (opened === null) return;
  showRendered("archive-send", SAY.send, (close) => <Send session={opened.session} close={close} />);
}

function Send({ session, close }: { readonly session: string; readonly close: () => void }) {
  const name = useSignal(known.value[0]?.name ?? "");
  const format = useSignal<archive.MaskFormat>(".dcm");
  const busy = useSignal(false);
  const error = useSignal("");
  const send = async (): Promise<void> => {
    busy.value = true;
    error.value = "";
    try {
      const sent = await archive.send(name.value, session, format.value);
      if (sent.refused.length > 0) {
        error.value = archive.sentWords(sent, name.value);
        return;
      }
      toast(archive.sentWords(sent, name.value), "good");
      close();
    } catch (reason) {
      error.value = reason instanceof Error ? reason.message : String(reason);
    } finally {
      busy.value = false;
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <ArchiveChoice name={name} />
      <fieldset class="archive-formats">
        <legend>{SAY.as}</legend>
        {(Object.keys(archive.MASK_FORMATS) as archive.MaskFormat[]).map((one) => (
          <label key={one}>
            <input
              type="radio"
              name="archive-format"
              checked={format.value === one}
              onChange={() => {
                format.value = one;
              }}
            />
            <span>{archive.MASK_FORMATS[one]}</span>
          </label>
        ))}
      </fieldset>
      <p class="hint">{SAY.sendHint}</p>
      {error.value !== "" && (
        <p class="archive-error" role="alert">
          {error.value}
        </p>
      )}
      <div class="dialog-buttons">
        <button class="button primary" disabled={busy.value}>
          {busy.value ? SAY.sending : SAY.sendButton}
        </button>
      </div>
    </form>
  );
}
