import { describe, expect, it } from "vitest";
import type { Case } from "../src/api";
import { askedFor } from "../src/hash";
import {
  ALL,
  duration,
  filtersOf,
  leftOut,
  openStatuses,
  pagesOf,
  parameters,
  placeAfter,
  progress,
  rowsInSight,
  scrollTo,
  whose,
} from "../src/worklist";

describe("the rows that are drawn", () => {
  it("are those in sight and some beside them", () => {
    expect(rowsInSight(0, 300, 60, 50_000, 4)).toEqual({ first: 0, last: 9 });
    expect(rowsInSight(6030, 300, 60, 50_000, 4)).toEqual({ first: 96, last: 110 });
    expect(rowsInSight(2_999_700, 300, 60, 50_000, 4)).toEqual({ first: 49_991, last: 50_000 });
  });

  it("are none of an empty list, and all of a short one", () => {
    expect(rowsInSight(0, 300, 60, 0, 4)).toEqual({ first: 0, last: 0 });
    expect(rowsInSight(0, 300, 60, 2, 4)).toEqual({ first: 0, last: 2 });
    expect(rowsInSight(900, 300, 60, 2, 4)).toEqual({ first: 2, last: 2 }); // the list has become shorter
  });

  it("lie on pages", () => {
    expect(pagesOf({ first: 0, last: 0 }, 100)).toEqual([]);
    expect(pagesOf({ first: 40, last: 100 }, 100)).toEqual([0]);
    expect(pagesOf({ first: 99, last: 301 }, 100)).toEqual([0, 100, 200, 300]);
  });
});

describe("scrolling to a row", () => {
  it("moves nothing while it is in sight", () => {
    expect(scrollTo(5, 200, 300, 60, true)).toBe(200);
  });

  it("brings it to the middle, or just into sight", () => {
    expect(scrollTo(100, 0, 300, 60, true)).toBe(5880);
    expect(scrollTo(0, 900, 300, 60, true)).toBe(0);
    expect(scrollTo(100, 0, 300, 60, false)).toBe(5760);
    expect(scrollTo(2, 900, 300, 60, false)).toBe(120);
  });
});

describe("keys in the list", () => {
  it("lead to other rows and never out of the list", () => {
    expect(
      ["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"].map((key) => placeAfter(key, 3, 9, 4)),
    ).toEqual([4, 2, 7, 0, 0, 8]);
    expect(placeAfter("ArrowDown", 8, 9, 4)).toBe(8);
    expect(placeAfter("a", 3, 9, 4)).toBeNull();
  });
});

describe("what the server is asked", () => {
  it("is nothing that is not filtered", () => {
    expect(parameters(ALL).toString()).toBe("sort=added");
    expect(filtersOf(ALL)).toBe(0);
  });

  it("is every filter, in the server's words", () => {
    const query = {
      ...ALL,
      text: " doe, jane & co ",
      statuses: ["begun", "done"],
      project: "a b",
      until: "2024-02-03",
      dateOf: "study",
      sort: "patient",
      descending: true,
    } as const;
    expect(parameters(query).toString()).toBe(
      "sort=patient&descending=true&q=doe%2C+jane+%26+co&status=begun&status=done&project=a+b&until=2024-02-03&date_of=study",
    );
    expect(filtersOf(query)).toBe(3);
    expect(parameters({ ...query, until: "" }).has("date_of")).toBe(false);
  });

  it("is of cases that are to be worked on, where the next one is wanted", () => {
    expect(openStatuses(ALL)).toEqual(["untouched", "begun"]);
    expect(openStatuses({ ...ALL, statuses: ["done", "begun"] })).toEqual(["begun"]);
    expect(openStatuses({ ...ALL, statuses: ["done"] })).toEqual(["untouched", "begun"]);
  });
});

describe("words", () => {
  it("say whose it is, or what", () => {
    const one = { patient: "Doe, Jane (7)", study_date: "2024-02-03" } as Case;
    expect(whose(one, "CT")).toBe("Doe, Jane (7)  ·  2024-02-03");
    expect(whose({ ...one, patient: "", study_date: "" }, "CT")).toBe("CT");
  });

  it("say how long and how far", () => {
    expect([3.4, 59.6, 90, 3600, 5400].map(duration)).toEqual(["3 s", "60 s", "2 min", "1 h 0 min", "1 h 30 min"]);
    const totals = { untouched: 34, begun: 3, done: 10, rejected: 1, accepted: 2 };
    expect(progress(totals)).toBe("12 of 50 done, 3 begun, 2 accepted, 1 rejected");
  });

  it("say what of an upload is no case", () => {
    const files = ["a", "b", "c", "d"].map((name) => ({ name, why: `${name} is no image.` }));
    expect(leftOut([], 0)).toBeNull();
    expect(leftOut(files.slice(0, 1), 1)).toBe("One file was left out. a is no image.");
    expect(leftOut(files, 7)).toBe("7 files were left out. a is no image. b is no image. c is no image. And 4 more.");
  });
});

describe("an address", () => {
  it("names a case and a layout", () => {
    expect(askedFor("#case=a1&layout=axial")).toEqual({ id: "a1", layout: "axial" });
    expect(askedFor("#case=a1&layout=upside-down")).toEqual({ id: "a1", layout: undefined });
    expect(askedFor("")).toEqual({ id: null, layout: undefined });
  });
});
