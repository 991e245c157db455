import { describe, expect, it } from "vitest";
import {
  ALL,
  askedOf,
  bytes,
  bytesIn,
  detailOf,
  gigabytes,
  localTime,
  proofFile,
  waysOf,
  type Entry,
  type Person,
} from "../src/admin";

const person: Person = {
  name: "ada",
  everywhere: null,
  projects: {},
  disabled: false,
  password: false,
  token: false,
  provider: false,
  logins: 0,
  created: "2026-11-30T12:00:00+00:00",
};
const entry: Entry = {
  number: 3,
  at: "2026-11-30T12:00:05+00:00",
  person: "ada",
  action: "role",
  project: "lungs",
  case: "",
  session: "",
  detail: { of: "eve", role: null, kinds: [".csv", ".nrrd"] },
  hash: "",
};

describe("administration", () => {
  it("asks for what is said, times in UTC and blanks taken off", () => {
    const asked = askedOf({ ...ALL, person: " ada ", since: "2026-11-30T14:05" });
    expect(asked.get("person")).toBe("ada");
    expect(asked.get("since")).toBe(new Date("2026-11-30T14:05").toISOString());
    expect([...asked.keys()]).toEqual(["person", "since"]);
  });

  it("says bytes for people", () => {
    expect([0, 999, 1000, 2_540_000, 45e9, 3e15].map(bytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "2.5 MB",
      "45 GB",
      "3000 TB",
    ]);
  });

  it("takes what may be kept in gigabytes, empty for what holds for all", () => {
    expect([null, 0, 2_500_000_000, 432].map(gigabytes)).toEqual(["", "0", "2.5", "4.32e-7"]);
    expect(["", " ", "0", "2.5", gigabytes(432)].map(bytesIn)).toEqual([null, null, 0, 2_500_000_000, 432]);
  });

  it("says the details of an entry in a line, and its time as the clock here has it", () => {
    expect(detailOf(entry)).toBe("of: eve, role: null, kinds: .csv .nrrd");
    const hour = String(new Date(entry.at).getHours()).padStart(2, "0");
    expect(localTime(entry.at)).toMatch(new RegExp(`^2026-(11-30|12-01) ${hour}:\\d\\d:05$`));
  });

  it("says how somebody gets in", () => {
    expect(waysOf(person)).toBe("cannot log in yet");
    expect(waysOf({ ...person, password: true, token: true })).toBe("password, token");
  });

  it("writes the proof as the command line does", () => {
    const forgotten = [
      { case: "a", project: "p", sessions: 1, events: 2, masks: 0, bytes: 3, blobs: {}, sha256: "f", entry: 9 },
    ];
    const { text, name } = proofFile({ made: "2026-11-30T12:00:05+00:00", forgotten, compact: true });
    expect(name).toBe("forgotten-2026-11-30.json");
    expect(JSON.parse(text)).toEqual({ made: "2026-11-30T12:00:05+00:00", forgotten });
  });
});
