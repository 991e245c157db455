import { describe, expect, it } from "vitest";

import {
  areaOf,
  areaOfTile,
  areaSeen,
  lengthWords,
  levelShown,
  magnification,
  placeUnder,
  regionToMark,
  scaleBar,
  scaleLimits,
  type Seen,
  seenAround,
  seenBy,
  sidesAt,
  suits,
  tilesSeen,
  viewAs,
} from "../src/slide";

const slide = { width: 40_001, height: 30_000, levels: 7, tile: 512, most: 1408 };
const size = [900, 600] as const;
const around = (x: number, y: number, scale: number): Seen => seenAround([x, y], scale, size);

describe("a slide on the screen", () => {
  it("has levels of half the sides each, rounded up", () => {
    expect(sidesAt(slide, 0)).toEqual([40_001, 30_000]);
    expect(sidesAt(slide, 6)).toEqual([626, 469]);
  });

  it("shows the level whose pixels are as fine as those of the screen", () => {
    expect(levelShown(slide, around(0, 0, 1), 1)).toBe(0);
    expect(levelShown(slide, around(0, 0, 1 / 4), 1)).toBe(2);
    expect(levelShown(slide, around(0, 0, 1 / 4), 2)).toBe(1);
    expect(levelShown(slide, around(0, 0, 8), 1)).toBe(0);
    expect(levelShown(slide, around(0, 0, 1 / 1000), 1)).toBe(6);
  });

  it("asks for the tiles that are seen and no others, the middle first", () => {
    const area = areaSeen(slide, around(10_000, 8000, 1 / 4), size)!;

    const tiles = tilesSeen(slide, 2, area);

    expect(area).toEqual({ left: 8200, top: 6800, right: 11_800, bottom: 9200 });
    expect(tiles).toHaveLength(4);
    expect(tiles[0]).toEqual({ level: 2, row: 3, column: 4 });
    for (const tile of tiles) {
      const there = areaOfTile(slide, tile);
      expect(there.left < area.right && area.left < there.right && there.top < area.bottom).toBe(true);
    }
    const corner = areaSeen(slide, around(40_001, 30_000, 1), size)!;
    expect(tilesSeen(slide, 0, corner).at(-1)!.level).toBe(0);
    expect(Math.max(...tilesSeen(slide, 0, corner).map(({ column }) => column))).toBe(78);
    expect(areaSeen(slide, around(-5000, 0, 1), size)).toBeNull();
  });

  it("stays where it is when another field of view is opened", () => {
    const before = around(12_345, 6789, 0.37);
    const field = { level: 1, low: [3000, 5800] as const, high: [3900, 6900] as const };
    const fit = 0.8; // CSS pixels of a pixel of the field at zoom 1

    const view = viewAs(before, size, field, fit);

    const scale = fit * view.zoom;
    const offset = [size[0] / 2 - view.centre[0] * scale, size[1] / 2 - view.centre[1] * scale];
    const after = seenBy({ scaleX: scale, scaleY: scale, offsetX: offset[0], offsetY: offset[1] }, field);
    for (const key of ["scaleX", "scaleY", "offsetX", "offsetY"] as const)
      expect(after[key]).toBeCloseTo(before[key], 6);
    expect(placeUnder(after, [450, 300])[0]).toBeCloseTo(12_345);
  });

  it("is marked at the level that is seen, or as closely as a field of view allows", () => {
    expect(regionToMark(slide, around(10_000, 8000, 1), size)).toEqual({
      level: 0,
      low: [7700, 9550],
      high: [8300, 10_450],
    });
    expect(regionToMark(slide, around(10_000, 8000, 1 / 4), size)?.level).toBe(2);
    expect(regionToMark(slide, around(10_000, 8000, 1), [2500, 1200])?.level).toBe(1);
    const whole = regionToMark(slide, around(20_000, 15_000, 1 / 70), size);
    expect(whole).toEqual({ level: 6, low: [0, 0], high: [469, 626] });
  });

  it("says when what is seen is to be opened anew before it is marked", () => {
    const seen = around(10_000, 8000, 1 / 4);
    const field = regionToMark(slide, seen, size)!;

    expect(suits(slide, field, seen, size)).toBe(true);
    expect(suits(slide, field, around(10_000, 8000, 1 / 3), size)).toBe(true); // a little closer
    expect(suits(slide, field, around(10_000, 8000, 1), size)).toBe(false); // much closer
    expect(suits(slide, field, around(14_000, 8000, 1 / 4), size)).toBe(false); // beside it
    expect(suits(slide, field, around(10_300, 8000, 1 / 4), size, [450, 300])).toBe(true);
    expect(suits(slide, field, around(10_300, 8000, 1 / 4), size, [890, 300])).toBe(false); // a place beside it
    expect(suits(slide, field, around(-90_000, 0, 1), size)).toBe(true); // nothing is seen of the slide
    expect(areaOf(field)).toEqual({ left: 8200, top: 6800, right: 11_800, bottom: 9200 });
  });

  it("is zoomed until its pixels are large or all of it is small", () => {
    const [least, most] = scaleLimits(slide, size);
    expect(most).toBe(8);
    expect(least * slide.height).toBeCloseTo(0.4 * size[1]);
  });
});

describe("words for sizes", () => {
  it("are round", () => {
    expect(scaleBar(0.5)).toEqual({ length: 50, pixels: 100 });
    expect(scaleBar(17).length).toBe(2000);
    expect(scaleBar(0.004).length).toBeCloseTo(0.5);
    expect([lengthWords(2000), lengthWords(50), lengthWords(0.5)]).toEqual(["2 mm", "50 µm", "500 nm"]);
    expect([magnification(0.25), magnification(1), magnification(4), magnification(40)]).toEqual([
      "40×",
      "10×",
      "2.5×",
      "0.25×",
    ]);
  });
});
