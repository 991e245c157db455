import { describe, expect, it } from "vitest";
import type { Event, Label } from "../src/api";
import { nameIn, sentenceIn } from "../src/api";
import { fold, freeValue, opening, same, stepBack, unrecorded } from "../src/session";
import { finetuneOf, INITIAL, marksOf, methodsFor, Store, waitingWords } from "../src/state";
import { withoutHidden } from "../src/uploads";

const label = (value: number, name = "lesion"): Label => ({
  value,
  name,
  colour: [1, 2, 3],
  locked: false,
  opacity: 1,
  codes: null,
  layer: 0,
});
const defined = (value: number, name?: string): Event => ({
  event: "defined",
  label: label(value, name),
  joined: false,
});
const clicked = (x: number): Event => ({
  event: "prompted",
  prompt: { kind: "click", index: [0, 0, x], positive: true },
  label: 1,
  method: "mend",
  finetune: "auto",
  overwrite: false,
  joined: false,
});
const joined = (event: Event): Event => ({ ...event, joined: true }) as Event;
const undone: Event = { event: "undone" };
const redone: Event = { event: "redone" };

describe("undo with others", () => {
  const back = (events: Event[], others: number[], takenBack: number[] = []) =>
    stepBack(events, fold(events).done, new Set(others), new Set(takenBack));
  const removed = (of: number): Event => ({ event: "removed", of });

  it("is a plain undo when nobody else did anything since", () => {
    expect(back([defined(1), clicked(1)], [])).toEqual(undone);
    expect(back([defined(1), clicked(1), clicked(2)], [1])).toEqual(undone);
  });

  it("takes the own last mark away and leaves the others' later ones", () => {
    expect(back([defined(1), clicked(1), clicked(2), clicked(3)], [3])).toEqual(removed(2));
  });

  it("goes on to the mark before instead of bringing back what it took away", () => {
    const events = [defined(1), clicked(1), clicked(2), clicked(3), removed(2)];
    expect(back(events, [3], [2])).toEqual(removed(1));
    expect(back([...events, removed(1)], [3], [2, 1])).toBeNull();
    expect(back(events, [3])).toEqual(undone); // a mark that was taken away by hand comes back
  });

  it("takes away neither what was replaced nor marks of a deleted label", () => {
    const moved = { ...clicked(5), replaces: 1 } as Event;
    expect(back([defined(1), clicked(1), moved, clicked(3)], [3])).toEqual(removed(2));
    expect(back([defined(1), clicked(1), { event: "deleted", label: 1, joined: false }], [2])).toBeNull();
  });

  it("finds nothing where all is others'", () => {
    expect(back([defined(1), clicked(1)], [0, 1])).toBeNull();
  });
});

describe("a log of events", () => {
  it("drops deleted labels with their marks, and replaced marks", () => {
    const moved = { ...clicked(5), replaces: 1 } as Event;
    const events = [defined(1), clicked(1), moved, defined(2)];
    const marked = (all: Event[]) =>
      marksOf({ events: all, ...fold(all), pending: [], unsent: [] }).map((one) => one.position);
    expect(marked(events)).toEqual([2]);
    const gone: Event[] = [...events, { event: "deleted", label: 1, joined: false }];
    expect(fold(gone).labels.map(({ value }) => value)).toEqual([2]);
    expect(marked(gone)).toEqual([]);
    expect(marked([...gone, undone])).toEqual([2]);
  });

  it("puts labels in another order, those that are not named behind", () => {
    const events: Event[] = [defined(1), defined(2), defined(3), { event: "ordered", labels: [3, 1] }];
    const values = (all: Event[]) => fold(all).labels.map(({ value }) => value);
    expect(values(events)).toEqual([3, 1, 2]);
    expect(values([...events, defined(1, "cyst"), defined(4)])).toEqual([3, 1, 2, 4]);
    expect(values([...events, undone])).toEqual([1, 2, 3]);
  });

  it("makes a label a part of another one in one event, which undo takes back and nobody removes", () => {
    const other = { ...clicked(2), label: 2 } as Event;
    const merge: Event = {
      event: "edited",
      edit: { kind: "merge", other: 2 },
      label: 1,
      overwrite: false,
      joined: false,
    };
    const events = [defined(1), defined(2), clicked(1), other, merge];
    const marked = (all: Event[]) =>
      marksOf({ events: all, ...fold(all), pending: [], unsent: [] }).map((one) => one.position);
    expect(fold(events).labels.map(({ value }) => value)).toEqual([1]);
    expect(marked(events)).toEqual([2, 4]);
    expect(fold([...events, undone]).labels.map(({ value }) => value)).toEqual([1, 2]);
    expect(marked([...events, undone])).toEqual([2, 3]);
    const later = [...events, clicked(5)];
    expect(stepBack(later, fold(later).done, new Set([5]), new Set())).toEqual({ event: "removed", of: 2 });
  });

  it("begins with the labels of its project, which undo leaves", () => {
    const begun = [defined(1), joined(defined(2))];
    const count = (events: Event[]) => opening(events, fold(events).done);
    expect(count(begun)).toBe(2);
    expect(count([...begun, defined(3)])).toBe(2);
    expect(count([clicked(1)])).toBe(0);
    expect(count([])).toBe(0);
  });

  it("folds undo and redo away", () => {
    const { done, undone: back } = fold([defined(1), clicked(1), clicked(2), undone, undone, redone]);
    expect(done).toEqual([0, 1]);
    expect(back).toEqual([2]);
  });

  it("forgets what could be redone when something new is done", () => {
    expect(fold([defined(1), clicked(1), undone, clicked(2)])).toMatchObject({ done: [0, 3], undone: [] });
  });

  it("takes back and brings back in one step what one action made", () => {
    const loaded = [defined(1), clicked(1), joined(defined(2)), joined(clicked(2))];
    expect(fold([...loaded, undone])).toMatchObject({ done: [0], undone: [3, 2, 1] });
    expect(fold([...loaded, undone, redone])).toMatchObject({ done: [0, 1, 2, 3], undone: [] });
    expect(fold([...loaded, clicked(5), undone, undone, redone])).toMatchObject({ done: [0, 1, 2, 3], undone: [4] });
  });

  it("keeps the last definition of a label, in the order of the first", () => {
    const { labels } = fold([defined(2), defined(1), defined(2, "cyst")]);
    expect(labels.map(({ value, name }) => [value, name])).toEqual([
      [2, "cyst"],
      [1, "lesion"],
    ]);
  });

  it("has nothing to undo at its beginning", () => {
    expect(fold([undone, redone])).toEqual({ done: [], undone: [], labels: [], locked: new Map() });
  });
});

describe("what a broken connection left unsaid", () => {
  const sent = [clicked(1), clicked(2), clicked(3)].map((event, id) => ({ id, event }));

  it("is all of it when nothing arrived, and nothing when all did", () => {
    expect(unrecorded(sent, [])).toEqual(sent);
    expect(unrecorded(sent, [clicked(1), clicked(2), clicked(3)])).toEqual([]);
  });

  it("is the rest when a part arrived, also with others' events between", () => {
    expect(unrecorded(sent, [clicked(1), undone, clicked(2)])).toEqual([sent[2]]);
  });

  it("keeps two equal marks apart", () => {
    const twice = [clicked(1), clicked(1)].map((event, id) => ({ id, event }));
    expect(unrecorded(twice, [clicked(1)])).toEqual([twice[1]]);
  });

  it("compares values, not the order of keys", () => {
    expect(same({ a: 1, b: [1, { c: 2 }] }, { b: [1, { c: 2 }], a: 1 })).toBe(true);
    expect(same({ a: 1 }, { a: 1, b: 2 })).toBe(false);
    expect(same([1, 2], [2, 1])).toBe(false);
    expect(same(null, {})).toBe(false);
  });
});

describe("the list of marks", () => {
  it("leaves out what is undone or removed, and ends with what is on its way", () => {
    const events = [defined(1), clicked(1), clicked(2), { event: "removed", of: 1 } as const];
    const marks = marksOf({ events, done: [0, 1, 2, 3], pending: [2], unsent: [clicked(9), undone] });
    expect(marks.map(({ position, waiting }) => [position, waiting])).toEqual([
      [2, true],
      [-1, true],
    ]);
  });
});

describe("small things", () => {
  it("what waits is counted, and called a mark only where it is one", () => {
    expect(waitingWords([])).toBe("");
    expect(waitingWords([clicked(1)])).toBe("One mark waits");
    expect(waitingWords([undone])).toBe("One change waits");
    expect(waitingWords([clicked(1), undone])).toBe("2 changes wait");
  });

  it("a new label gets the lowest free number", () => {
    expect(freeValue([label(1), label(3)])).toBe(2);
    expect(freeValue([])).toBe(1);
  });

  it("methods are offered for the image's dimensions and the prompt's kind", () => {
    const method = (id: string, dimensions: number[], prompts: string[]) => ({
      id,
      dimensions,
      prompts,
      title: id,
      paper: "",
      good_for: "",
      weights: "",
      refines: false,
      guesses: false,
      finetunes: false,
      calibrated: [],
      intervals: {},
      labels: [],
    });
    const all = [method("a", [2], ["click"]), method("b", [2, 3], ["box"])];
    expect(methodsFor(all, true, null)).toHaveLength(2);
    expect(methodsFor(all, false, null).map(({ id }) => id)).toEqual(["b"]);
    expect(methodsFor(all, true, "click").map(({ id }) => id)).toEqual(["a"]);
  });

  it("a session goes on finetuning as its newest prompt did", () => {
    const off: Event = { ...clicked(1), finetune: "off" } as Event;
    expect(finetuneOf([defined(1)])).toBe("auto");
    expect(finetuneOf([defined(1), clicked(1), off, undone])).toBe("off");
    expect(finetuneOf([defined(1), off, clicked(1)])).toBe("auto");
  });

  it("the store tells listeners of what changed, and of nothing else", () => {
    const store = new Store(INITIAL);
    const heard: string[] = [];
    store.on(["radius"], ({ radius }) => heard.push(`radius ${radius}`));
    store.on(["tool"], ({ tool }) => heard.push(tool));
    store.set({ radius: 7 });
    store.set({ radius: 7 });
    expect(heard).toEqual(["radius 3", "click", "radius 7"]);
  });

  it("errors are the server's sentence, or say their status", () => {
    expect(sentenceIn('{"detail":"There is no case."}', 404)).toBe("There is no case.");
    expect(sentenceIn("<h1>Bad gateway</h1>", 502)).toBe("The server answered with an error (502).");
    expect(sentenceIn('{"detail":[1]}', 422)).toBe("The server answered with an error (422).");
  });

  it("downloads keep the name the server gives, accents included", () => {
    expect(nameIn('attachment; filename="knee-mask.nii.gz"')).toBe("knee-mask.nii.gz");
    expect(nameIn("attachment; filename*=utf-8''l%C3%A9sion.nrrd")).toBe("lésion.nrrd");
    expect(nameIn(null)).toBeNull();
  });

  it("hidden files of the desktop are left out of what is dropped", () => {
    const file = new Blob([]);
    const names = ["ct/1.dcm", "ct/.DS_Store", "__MACOSX/ct/1.dcm", "ct/Thumbs.db", "a.nii"];
    expect(withoutHidden(names.map((name) => ({ file, name }))).map(({ name }) => name)).toEqual(["ct/1.dcm", "a.nii"]);
  });
});
