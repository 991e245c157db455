/** The worklist: search, filters, order, how far it is, and rows of which those in sight are drawn; ways to add a case. */

import { fill, phrases, plural } from "../phrases";
import "../worklist.css";
import { useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Actions } from "../actions";
import type { Case } from "../api";
import { SEARCH } from "../casekeys";
import { h, set } from "../dom";
import { pickFiles, pickFolder } from "../drop";
import { may, mayAnywhere } from "../rights";
import { knownThumbnail, thumbnail } from "../thumbnails";
import { reportErrors } from "../toasts";
import {
  DATES,
  duration,
  filtersOf,
  placeAfter,
  READINGS,
  progress,
  rowsInSight,
  scrollTo,
  SORTS,
  STATUS_WORDS,
  STATUSES,
  whose,
  type DateOf,
  type Reading,
  type Sort,
} from "../worklist";
import { FromArchive } from "./archive";
import { confirmDelete, linkDialog } from "./dialogs";
import { fieldOf, Icon, IconButton } from "./elements";
import { kindAndSize } from "./header";
import { showMembers } from "./members";
import { shortWordsOf } from "./reading";
import { showReadings } from "./readings";
import { showResults } from "./results";

const SAY = phrases.worklist;
const ROW = 64; // CSS pixels
const BESIDE = 6; // rows that are drawn above and below those in sight
const DWELL_MS = 60; // that a row is in sight before its thumbnail is fetched

export function casesPanel(actions: Actions): HTMLElement {
  const element = h("aside", { class: "sidebar", "aria-label": SAY.title });
  render(<Worklist actions={actions} />, element);
  actions.store.on(["sidebar"], ({ sidebar }) => {
    set(element, "hidden", !sidebar);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    actions.worklist.refresh().catch(() => undefined); // others work, too; a lost connection is told elsewhere
  });
  return element;
}

function Worklist({ actions }: { readonly actions: Actions }) {
  const filtering = useSignal(false);
  const { list } = actions.worklist;
  const me = useMemo(() => fieldOf(actions.store, "me"), []).value;
  const adds = mayAnywhere(me, "reviewer");
  const active = filtersOf(list.query.value);
  return (
    <>
      <div class="section-head">
        <h2>{SAY.title}</h2>
        <div class="header-group">
          {me.everywhere === "admin" && (
            <IconButton
              name="admin"
              label={phrases.admin.title}
              onClick={() => {
                reportErrors(async () => {
                  const { showAdmin } = await import("./admin"); // which few people need
                  await showAdmin(actions);
                });
              }}
            />
          )}
          {mayAnywhere(me, "admin") && (
            <IconButton
              name="people"
              label={phrases.members.title}
              onClick={() => {
                reportErrors(() => showMembers(actions));
              }}
            />
          )}
          {!me.alone && adds && (
            <IconButton
              name="readers"
              label={phrases.readings.title}
              onClick={() => {
                reportErrors(() => showReadings(actions));
              }}
            />
          )}
          {adds && (
            <>
              <IconButton
                name="download"
                label={SAY.results}
                onClick={() => {
                  showResults(actions);
                }}
              />
              <IconButton
                name="link"
                label={SAY.link}
                onClick={() => {
                  linkDialog(actions);
                }}
              />
            </>
          )}
        </div>
      </div>
      <div class="case-search" role="search">
        <input
          id={SEARCH}
          class="text-input"
          type="search"
          placeholder={SAY.search}
          aria-label={SAY.searchLabel}
          title={`${SAY.searchLabel} (/)`}
          maxLength={200}
          value={list.query.value.text}
          onInput={({ currentTarget }) => {
            list.ask({ text: currentTarget.value });
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <button
          type="button"
          class="button small"
          aria-expanded={filtering.value}
          aria-controls="case-filters"
          onClick={() => {
            filtering.value = !filtering.value;
            if (filtering.value) reportErrors(() => list.loadChoices());
          }}
        >
          {active === 0 ? SAY.filter : fill(SAY.filters, { n: active })}
        </button>
      </div>
      <div id="case-filters" hidden={!filtering.value}>
        <Filters actions={actions} />
      </div>
      <Progress actions={actions} />
      {me.name !== "" && (
        <button
          type="button"
          class="button small read-next"
          title={SAY.readNextTitle}
          onClick={() => {
            reportErrors(() => actions.reading.readNext());
          }}
        >
          {SAY.readNext}
        </button>
      )}
      <Order actions={actions} />
      <Rows actions={actions} />
      {adds && (
        <div class="add-area">
          <div class="add-buttons">
            <button type="button" class="button" onClick={pickFiles(actions)}>
              <Icon name="file" />
              {SAY.addFiles}
            </button>
            <button type="button" class="button" aria-label={SAY.addFolder} onClick={pickFolder(actions)}>
              <Icon name="folder" />
              {SAY.folder}
            </button>
          </div>
          <FromArchive actions={actions} />
          <p class="hint">{SAY.drop}</p>
        </div>
      )}
    </>
  );
}

function Filters({ actions }: { readonly actions: Actions }) {
  const { list } = actions.worklist;
  const query = list.query.value;
  const { projects, modalities, labels } = list.choices.value;
  const choice = (name: "project" | "modality" | "label", title: string, values: readonly string[]) => (
    <label class="filter">
      <span>{title}</span>
      <select
        class="select"
        onChange={({ currentTarget }) => {
          list.ask({ [name]: currentTarget.value });
        }}
      >
        <option value="" selected={query[name] === ""}>
          {SAY.any}
        </option>
        {[...new Set(query[name] === "" ? values : [query[name], ...values])].map((value) => (
          <option key={value} value={value} selected={query[name] === value}>
            {value}
          </option>
        ))}
      </select>
    </label>
  );
  const day = (name: "since" | "until", title: string) => (
    <label class="filter">
      <span>{title}</span>
      <input
        class="text-input"
        type="date"
        value={query[name]}
        onChange={({ currentTarget }) => {
          list.ask({ [name]: currentTarget.value });
        }}
      />
    </label>
  );
  return (
    <div class="filters">
      <fieldset class="statuses">
        <legend>{SAY.status}</legend>
        {STATUSES.map((status) => (
          <label key={status}>
            <input
              type="checkbox"
              checked={query.statuses.includes(status)}
              onChange={({ currentTarget }) => {
                const others = query.statuses.filter((one) => one !== status);
                list.ask({ statuses: currentTarget.checked ? [...others, status] : others });
              }}
            />
            {STATUS_WORDS[status]} <small>{list.totals.value[status]}</small>
          </label>
        ))}
      </fieldset>
      {!actions.store.state.me.alone && (
        <label class="filter">
          <span>{SAY.reading}</span>
          <select
            class="select"
            onChange={({ currentTarget }) => {
              list.ask({ reading: currentTarget.value as Reading });
            }}
          >
            <option value="" selected={query.reading === ""}>
              {SAY.any}
            </option>
            {Object.entries(READINGS)
              .filter(([key]) => key !== "mine" || actions.store.state.me.name !== "")
              .map(([key, words]) => (
                <option key={key} value={key} selected={query.reading === key}>
                  {words}
                </option>
              ))}
          </select>
        </label>
      )}
      {projects.length > 1 && choice("project", SAY.project, projects)}
      {choice("modality", SAY.modality, modalities)}
      {choice("label", SAY.label, labels)}
      <label class="filter">
        <span>{SAY.date}</span>
        <select
          class="select"
          onChange={({ currentTarget }) => {
            list.ask({ dateOf: currentTarget.value as DateOf });
          }}
        >
          {Object.entries(DATES).map(([key, words]) => (
            <option key={key} value={key} selected={query.dateOf === key}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <button
        type="button"
        class="button small"
        disabled={filtersOf(query) === 0}
        onClick={() => {
          list.ask({ statuses: [], project: "", modality: "", label: "", reading: "", since: "", until: "" });
        }}
      >
        {SAY.showAll}
      </button>
      {day("since", SAY.from)}
      {day("until", SAY.to)}
    </div>
  );
}

function Progress({ actions }: { readonly actions: Actions }) {
  const totals = actions.worklist.list.totals.value;
  const all = STATUSES.reduce((sum, status) => sum + totals[status], 0);
  const words = progress(totals);
  if (all === 0) return null;
  return (
    <div class="work-progress">
      <div
        class="work-bar"
        role="progressbar"
        aria-label={SAY.progress}
        aria-valuemin={0}
        aria-valuemax={all}
        aria-valuenow={totals.done + totals.accepted + totals.rejected}
        aria-valuetext={words}
      >
        {(["accepted", "done", "rejected", "begun"] as const).map((status) => (
          <span key={status} class={`part ${status}`} style={{ width: `${(100 * totals[status]) / all}%` }} />
        ))}
      </div>
      <p class="hint">{words}</p>
    </div>
  );
}

function Order({ actions }: { readonly actions: Actions }) {
  const { list } = actions.worklist;
  const query = list.query.value;
  const total = list.total.value;
  return (
    <div class="case-order">
      <span class="hint" role="status">
        {total === null ? "" : plural(SAY.cases, total)}
      </span>
      <select
        class="select"
        aria-label={SAY.order}
        onChange={({ currentTarget }) => {
          const sort = currentTarget.value as Sort;
          list.ask(sort === "doubt" ? { sort, descending: true } : { sort }); // what is most in doubt comes first
        }}
      >
        {Object.entries(SORTS).map(([key, words]) => (
          <option key={key} value={key} selected={query.sort === key}>
            {words}
          </option>
        ))}
      </select>
      <button
        type="button"
        class="icon-button small"
        aria-label={query.descending ? SAY.descending : SAY.ascending}
        title={query.descending ? SAY.lastFirst : SAY.firstFirst}
        onClick={() => {
          list.ask({ descending: !query.descending });
        }}
      >
        <span aria-hidden="true">{query.descending ? "↓" : "↑"}</span>
      </button>
    </div>
  );
}

function Rows({ actions }: { readonly actions: Actions }) {
  const { list } = actions.worklist;
  const opened = useField(actions, "opened")?.case.id;
  const box = useRef<HTMLDivElement>(null);
  const scrolled = useSignal(0);
  const height = useSignal(0);
  const active = useSignal(0); // the row that the Tab key reaches
  const focus = useRef(false); // it is to get the focus when it is drawn
  const total = list.total.value;

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const watch = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
    };
  }, []);

  const go = (place: number, middle: boolean): void => {
    const element = box.current;
    if (element === null || element.clientHeight === 0) return; // the list is hidden
    active.value = place;
    element.scrollTop = scrollTo(place, element.scrollTop, element.clientHeight, ROW, middle);
    scrolled.value = element.scrollTop;
  };
  const wanted = list.wanted.value;
  useLayoutEffect(() => {
    if (wanted === null || height.value === 0) return;
    go(wanted, true);
    list.wanted.value = null;
  }, [wanted, height.value, total]);
  useEffect(() => {
    // The open case comes into sight, wherever in the list it is
    if (opened === undefined) return;
    for (const [place, one] of list.rows.peek()) {
      if (one.id === opened) {
        list.wanted.value = place;
        return;
      }
    }
    reportErrors(() => list.load(opened));
  }, [opened]);
  useLayoutEffect(() => {
    if (!focus.current) return;
    const row = box.current?.querySelector<HTMLElement>(`[data-place="${active.value}"]`);
    if (row === null || row === undefined) return;
    focus.current = false;
    row.focus({ preventScroll: true });
  });

  const sight = rowsInSight(scrolled.value, height.value, ROW, total ?? 0, BESIDE);
  useEffect(() => {
    list.show(sight);
  }, [sight.first, sight.last, list.rows.value]);

  if (total === 0) {
    const filtered = list.query.value.text !== "" || filtersOf(list.query.value) > 0;
    return (
      <div class="case-scroll">
        <p class="hint">{filtered ? SAY.noneLike : SAY.none}</p>
      </div>
    );
  }
  const places = Array.from({ length: sight.last - sight.first }, (_, i) => sight.first + i);
  if (total !== null && active.value < total && !places.includes(active.value)) places.push(active.value);
  return (
    <div
      class="case-scroll"
      ref={box}
      onScroll={({ currentTarget }) => {
        scrolled.value = currentTarget.scrollTop;
      }}
      onKeyDown={(event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (!(event.target instanceof HTMLElement) || event.target.dataset.place === undefined) return;
        const page = Math.max(1, Math.floor(height.value / ROW) - 1);
        const place = placeAfter(event.key, active.value, total ?? 0, page);
        if (place === null) return;
        event.preventDefault();
        event.stopPropagation();
        focus.current = true;
        go(place, false);
      }}
    >
      <ul class="case-list" aria-label={SAY.list} style={{ height: `${(total ?? 3) * ROW}px` }}>
        {total === null
          ? [0, 1, 2].map((place) => <Ghost key={place} place={place} />)
          : places.map((place) => {
              const one = list.rows.value.get(place);
              return one === undefined ? (
                <Ghost key={place} place={place} />
              ) : (
                <Row
                  key={place}
                  actions={actions}
                  one={one}
                  place={place}
                  total={total}
                  current={one.id === opened}
                  reachable={place === active.value}
                />
              );
            })}
      </ul>
    </div>
  );
}

/** Return a field of the store, and be drawn again when it changes. */
function useField<K extends "opened">(actions: Actions, key: K) {
  const field = useRef(null as ReturnType<typeof fieldOf<K>> | null);
  field.current ??= fieldOf(actions.store, key);
  return field.current.value;
}

function Ghost({ place }: { readonly place: number }) {
  return <li class="case-row ghost" aria-hidden="true" style={{ top: `${place * ROW}px` }} />;
}

interface RowProps {
  readonly actions: Actions;
  readonly one: Case;
  readonly place: number;
  readonly total: number;
  readonly current: boolean;
  readonly reachable: boolean;
}

function Row({ actions, one, place, total, current, reachable }: RowProps) {
  const deletes = may(actions.store.state.me, "admin", one.project);
  const details = kindAndSize(one);
  const work = one.seconds >= 1 ? duration(one.seconds) : "";
  const comment = one.comment === "" ? "" : `\n${one.comment}`;
  return (
    <li class="case-row" style={{ top: `${place * ROW}px` }} aria-setsize={total} aria-posinset={place + 1}>
      <button
        type="button"
        class="case-open"
        data-place={place}
        data-key={`case-${one.id}`}
        tabIndex={reachable ? 0 : -1}
        aria-current={current ? "true" : undefined}
        title={[one.name, whose(one, ""), details].filter((part) => part !== "").join("\n") + comment}
        onClick={() => {
          reportErrors(() => actions.cases.open(one.id));
        }}
      >
        <Thumbnail key={one.id} id={one.id} />
        <span class="case-row-name" dir="auto">
          {one.name}
        </span>
        <span class="case-row-details" dir="auto">
          {whose(one, details)}
        </span>
        <span class="case-row-status">
          <span class={`case-state ${one.status}`}>{STATUS_WORDS[one.status]}</span>
          <span class="case-row-time">{(one.reading === null ? "" : shortWordsOf(one.reading)) || work}</span>
        </span>
      </button>
      {deletes && (
        <span class="case-row-delete">
          <button
            type="button"
            class="icon-button small"
            tabIndex={reachable ? 0 : -1}
            aria-label={fill(SAY.delete, { name: one.name })}
            title={fill(SAY.delete, { name: one.name })}
            onClick={() => {
              confirmDelete(actions, one);
            }}
          >
            <Icon name="trash" />
          </button>
        </span>
      )}
    </li>
  );
}

function Thumbnail({ id }: { readonly id: string }) {
  const url = useSignal(knownThumbnail(id));
  useEffect(() => {
    if (url.value !== null) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      void thumbnail(id, abort.signal).then((found) => {
        if (!abort.signal.aborted) url.value = found;
      });
    }, DWELL_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [id]);
  return <span class="thumbnail">{url.value !== null && <img src={url.value} alt="" />}</span>;
}
