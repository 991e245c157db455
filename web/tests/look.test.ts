import { describe, expect, it } from "vitest";
import type { Event, Method } from "../src/api";
import { PHOTO } from "../src/geometry";
import { LabelMap } from "../src/labelmap";
import { centreViews, covering, expectedDice, interval, lastAsked, nextRank, sentence, whyNot } from "../src/look";
import { INITIAL, type Opened, type State } from "../src/state";

const defined = (value: number): Event => ({
  event: "defined",
  label: {
    value,
    name: value === 1 ? "liver" : "kidney",
    colour: [1, 2, 3],
    locked: false,
    opacity: 1,
    codes: null,
    layer: 0,
  },
  joined: false,
});
const clicked = (label: number): Event => ({
  event: "prompted",
  prompt: { kind: "click", index: [0, 0, 1], positive: true },
  label,
  method: "mend",
  finetune: "auto",
  overwrite: false,
  joined: false,
});

describe("the next uncertain place", () => {
  it("is the most uncertain, then the next, and after the last the first again", () => {
    expect(nextRank(null)).toBe(0);
    expect(nextRank({ rank: 0, place: [1, 2, 3], inside: true })).toBe(1);
    expect(nextRank({ rank: 4, place: null, inside: false })).toBe(0);
  });

  it("is told in a plain sentence", () => {
    const place = [1, 2, 3] as const;
    expect(sentence({ rank: 0, place, inside: true })).toBe(
      "Looks uncertain here. In the mask: − if it does not belong.",
    );
    expect(sentence({ rank: 1, place, inside: false })).toBe(
      "Looks uncertain here (place 2). Outside the mask: + if it belongs.",
    );
    expect(sentence({ rank: 0, place: null, inside: false })).toBe("Nothing looks uncertain.");
    expect(sentence({ rank: 2, place: null, inside: false })).toBe("Nothing else looks uncertain.");
  });

  it("comes to the middle of every plane that is panned or zoomed", () => {
    const views = { axial: { centre: [1, 1], zoom: 5 } } as const;
    expect(centreViews(views, [PHOTO], [1, 20, 30], [0, 12, 7])).toEqual({ axial: { centre: [7.5, 12.5], zoom: 5 } });
    expect(centreViews({}, [PHOTO], [1, 20, 30], [0, 12, 7])).toEqual({});
  });
});

describe("what the last answer was about", () => {
  it("is its label and method, whatever was renamed since, and nothing after undo", () => {
    expect(lastAsked([defined(1), clicked(1), defined(2)])).toEqual({ label: 1, method: "mend" });
    expect(lastAsked([defined(2), clicked(2), { event: "removed", of: 1 }])).toEqual({ label: 2, method: null });
    expect(lastAsked([defined(1), clicked(1), { event: "undone" }])).toBeNull();
    expect(lastAsked([defined(1)])).toBeNull();
  });

  const answered = { milliseconds: 1, quality: 0.9, finetuned: false };
  const events = [defined(1), defined(2), clicked(1)];
  const opened = { volume: { shape: [1, 4, 4] } } as unknown as Opened;
  const methods = [{ id: "mend", title: "Mend", calibrated: [2] as readonly number[] } as Method];
  const judged = { answered, events, opened, methods, label: 1 };

  it("is what its expected Dice is about, too", () => {
    expect(expectedDice(judged)).toBe(0.9);
    expect(expectedDice({ ...judged, label: 2 })).toBeNull();
    expect(expectedDice({ ...judged, answered: { ...answered, quality: null } })).toBeNull();
    expect(expectedDice({ ...judged, events: [...events, { event: "undone" }] })).toBeNull();
  });

  it("has no expected Dice where what the method says is not known to be near the truth", () => {
    const volume = { volume: { shape: [9, 4, 4] } } as unknown as Opened;
    expect(expectedDice({ ...judged, opened: volume })).toBeNull();
    expect(expectedDice({ ...judged, methods: [{ ...methods[0], calibrated: [] }] })).toBeNull();
    expect(expectedDice({ ...judged, methods: [] })).toBeNull();
  });

  it("has an interval for the true Dice, between those that were measured", () => {
    const measured = [
      { expected: 0.5, low: 0.1, high: 0.7 },
      { expected: 0.9, low: 0.8, high: 1 },
    ];
    const known = { ...judged, methods: [{ ...methods[0], intervals: { 2: measured } }] };
    expect(interval(known, 0.7)?.map((one) => one.toFixed(3))).toEqual(["0.450", "0.850"]);
    expect(interval(known, 0.2)).toEqual([0.1, 0.7]);
    expect(interval(known, 0.95)).toEqual([0.8, 1]);
    expect(interval({ ...known, methods: [{ ...methods[0], intervals: {} }] }, 0.7)).toBeNull();
  });

  it("may lie under another label, which a positive mark alone asks for", () => {
    const map = new LabelMap([1, 2, 3]);
    const click = clicked(1) as Extract<Event, { event: "prompted" }>;
    const away = { ...click, prompt: { kind: "click", index: [0, 0, 1], positive: false } } as typeof click;
    expect(covering(click, map)).toBeNull();
    map.values[1] = 7;
    expect(covering(click, map)).toBe(7);
    expect(covering({ ...click, label: 7 }, map)).toBeNull();
    expect(covering(away, map)).toBeNull();
  });
});

describe("why there is no place to go to", () => {
  const state: State = {
    ...INITIAL,
    opened: {} as Opened,
    connection: "live",
    events: [defined(1), defined(2), clicked(1)],
    labels: [defined(1), defined(2)].flatMap((event) => (event.event === "defined" ? [event.label] : [])),
    methods: [{ id: "mend", title: "Mend" } as Method],
    answered: { milliseconds: 1, quality: null, finetuned: false },
    uncertaintyOf: 2,
    label: 1,
  };

  it("is nothing while the last answer, which is uncertain somewhere, is about the selected label", () => {
    expect(whyNot(state)).toBeNull();
    expect(whyNot({ ...state, answered: null })).toBeNull(); // the page was loaded again
  });

  it("is one sentence otherwise", () => {
    expect(whyNot({ ...state, opened: null })).toBe("Open a case first.");
    expect(whyNot({ ...state, connection: "lost" })).toBe("The connection is lost.");
    expect(whyNot({ ...state, pending: [3] })).toBe("An answer is on its way.");
    expect(whyNot({ ...state, unsent: [clicked(1)] })).toBe("An answer is on its way.");
    expect(whyNot({ ...state, label: 2 })).toMatch(/^The last answer was about liver; choose it/);
    expect(whyNot({ ...state, uncertaintyOf: null })).toBe("Mend does not say where it is uncertain.");
    expect(whyNot({ ...state, uncertaintyOf: null, answered: null })).toMatch(/^Put down a mark/);
    expect(whyNot({ ...state, uncertaintyOf: null, events: [...state.events, { event: "undone" }] })).toMatch(
      /^Put down/,
    );
  });
});
