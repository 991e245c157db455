import { describe, expect, it } from "vitest";

import { CT_PRESETS, type Statistics } from "../src/contrast";
import { checked, nameOf, windowFor } from "../src/preferences";

const CT: Statistics = { low: -1000, high: 2000, auto: { low: -900, high: 900 }, ct: true };
const MR: Statistics = { low: 0, high: 500, auto: { low: 20, high: 400 }, ct: false };
const BONE = CT_PRESETS[3].contrast;

describe("the window of the next case", () => {
  it("is the usual one at first: soft tissue for CT, what fits the image for others", () => {
    expect(windowFor(CT, "CT", {})).toEqual(CT_PRESETS[0].contrast);
    expect(windowFor(MR, "MR", {})).toEqual(MR.auto);
  });

  it("is the preset chosen last for its modality", () => {
    const liked = { windows: { CT: "Bone", MR: "Full" } };
    expect(windowFor(CT, "CT", liked)).toEqual(BONE);
    expect(windowFor(MR, "MR", liked)).toEqual({ low: 0, high: 500 });
    expect(windowFor(MR, "US", liked)).toEqual(MR.auto);
  });

  it("is a window of one's own in CT alone, whose numbers mean the same in every image", () => {
    const own = { low: 5, high: 25 };
    expect(windowFor(CT, "CT", { windows: { CT: own } })).toEqual(own);
    expect(windowFor(MR, "MR", { windows: { MR: own } })).toEqual(MR.auto);
    expect([nameOf(own, CT), nameOf(own, MR)]).toEqual([own, null]);
  });

  it("is kept by name where it has one", () => {
    expect(nameOf(BONE, CT)).toBe("Bone");
    expect(nameOf(MR.auto, MR)).toBe("Auto");
    expect(nameOf({ low: 0, high: 500 }, MR)).toBe("Full");
  });
});

describe("what was kept", () => {
  it("is taken as far as it makes sense", () => {
    const good = { layout: "axial", tool: "box", opacity: 0.7, outline: false, radius: 4, methods: { "2D": "mend" } };
    const views = { several: "rows", colours: "Hot", crosshairs: false, linkedZoom: true };
    expect(checked({ ...good, smooth: "yes", uncertain: 1, other: 2 })).toEqual(good);
    expect(checked({ ...views, linkedSlices: false })).toEqual(views);
    expect(checked({ several: "axial", colours: "Mauve", crosshairs: 1 })).toEqual({});
    expect(checked({ layout: "cube", tool: 7, opacity: 3, radius: 0, methods: { "2D": 5 } })).toEqual({ methods: {} });
    expect(checked({ windows: { CT: { low: 1, high: 1 }, MR: "Auto" } })).toEqual({ windows: { MR: "Auto" } });
    expect(checked("nonsense")).toEqual({});
  });
});
