import { expect, it } from "vitest";
import {
  ANYTHING,
  countWords,
  isOver,
  megabytes,
  nameOf,
  partOf,
  progressWords,
  queryOf,
  sentWords,
  type Import,
} from "../src/archive";

const fetching: Import = {
  id: "1",
  archive: "Orthanc",
  study: "1.2",
  series: "1.2.3",
  stage: "fetching",
  files: 30,
  size: 15_700_000,
  cases: [],
  error: "",
};

it("asks for what was filled in, and for a page", () => {
  expect(queryOf(ANYTHING, 0).toString()).toBe("limit=25&offset=0");
  const wanted = { ...ANYTHING, patient: " Doe ", since: "2026-01-02", modality: "CT" };
  expect(queryOf(wanted, 50).toString()).toBe("patient=Doe&since=2026-01-02&modality=CT&limit=25&offset=50");
});

it("tells how far an import is", () => {
  expect(progressWords(fetching, 120)).toBe("30 of 120 files, 16 MB");
  expect(progressWords(fetching, null)).toBe("30 files, 16 MB");
  expect(progressWords({ ...fetching, stage: "failed", error: "It ends too early." }, 120)).toBe("It ends too early.");
  expect(partOf(fetching, 120)).toBe(0.25);
  expect(partOf(fetching, 20)).toBe(1);
  expect(partOf(fetching, null)).toBeNull();
  expect(partOf({ ...fetching, stage: "waiting" }, 120)).toBeNull();
  expect([isOver(fetching), isOver({ ...fetching, stage: "cancelled" })]).toEqual([false, true]);
});

it("says sizes, names and what was sent as people do", () => {
  expect([megabytes(1_240_000), megabytes(99_600_000)]).toEqual(["1.2 MB", "100 MB"]);
  expect([countWords(1), countWords(412), countWords(null)]).toEqual(["1 file", "412 files", ""]);
  expect([nameOf("Doe^Jane^^Dr"), nameOf("Doe"), nameOf("")]).toEqual(["Doe, Jane", "Doe", ""]);
  expect(sentWords({ stored: 1, refused: [] }, "Orthanc")).toContain("keeps the mask");
  expect(sentWords({ stored: 0, refused: ["0110h"] }, "Orthanc")).toBe("Orthanc refused the mask (reason 0110h).");
});
