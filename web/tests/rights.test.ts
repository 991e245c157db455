import { describe, expect, it } from "vitest";
import type { Me } from "../src/api";
import { may, mayAnywhere, roleIn } from "../src/rights";

const ada: Me = { name: "ada", everywhere: "annotator", projects: { lungs: "reviewer" }, alone: false };

describe("what somebody may", () => {
  it("is said by the role in a project, else by the one in all", () => {
    expect([roleIn(ada, "lungs"), roleIn(ada, "knees")]).toEqual(["reviewer", "annotator"]);
    expect([may(ada, "reviewer", "lungs"), may(ada, "reviewer", "knees")]).toEqual([true, false]);
    expect([may(ada, "annotator", "knees"), may(ada, "admin", "lungs")]).toEqual([true, false]);
    expect([mayAnywhere(ada, "reviewer"), mayAnywhere(ada, "admin")]).toEqual([true, false]);
  });

  it("is everything for an admin of all projects, and nothing without a role", () => {
    expect(roleIn({ ...ada, everywhere: "admin" }, "lungs")).toBe("admin");
    const nobody = { ...ada, everywhere: null, projects: {} };
    expect([roleIn(nobody, "lungs"), mayAnywhere(nobody, "annotator")]).toEqual([null, false]);
  });
});
