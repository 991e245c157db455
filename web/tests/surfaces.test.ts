import { describe, expect, it } from "vitest";
import { type Affine, type Index, planesOf } from "../src/geometry";
import {
  axesOf,
  ballOf,
  cornersOf,
  matrixOf,
  normalsOf,
  project,
  readSurface,
  START,
  turned,
  type Vector,
  zoomed,
} from "../src/surfaces";

const AFFINE: Affine = [
  [0, 0, -1, 20],
  [0, -2, 0, 30],
  [4, 0, 0, -5],
]; // x runs to the left, y to the back, z up
const SHAPE: Index = [5, 10, 20];

function packed(vertices: number[], corners: number[]): ArrayBuffer {
  const buffer = new ArrayBuffer(8 + 4 * (vertices.length + corners.length));
  new Uint32Array(buffer, 0, 2).set([vertices.length / 3, corners.length / 3]);
  new Float32Array(buffer, 8, vertices.length).set(vertices);
  new Uint32Array(buffer, 8 + 4 * vertices.length).set(corners);
  return buffer;
}

const OCTAHEDRON = packed(
  [1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1],
  [0, 2, 4, 2, 1, 4, 1, 3, 4, 3, 0, 4, 2, 0, 5, 1, 2, 5, 3, 1, 5, 0, 3, 5],
);

describe("a surface", () => {
  it("is read as it is packed, and refused when it is cut short", () => {
    const { vertices, corners } = readSurface(OCTAHEDRON);
    expect([vertices.length, corners.length]).toEqual([18, 24]);
    expect([...corners.subarray(0, 3)]).toEqual([0, 2, 4]);
    expect(readSurface(new ArrayBuffer(8)).corners.length).toBe(0);
    expect(() => readSurface(OCTAHEDRON.slice(0, 50))).toThrow("arrived damaged");
    expect(() => readSurface(new ArrayBuffer(3))).toThrow("arrived damaged");
  });

  it("has normals that point out of it, of length one", () => {
    const surface = readSurface(OCTAHEDRON);
    normalsOf(surface).forEach((value, i) => {
      expect(value).toBeCloseTo(surface.vertices[i]);
    });
  });
});

describe("a gaze", () => {
  const from = (azimuth: number, elevation: number): Vector[] => {
    const { right, up, towards } = axesOf({ azimuth, elevation, zoom: 1 });
    return [right, up, towards].map((one) => one.map((value) => Math.round(value) + 0) as unknown as Vector);
  };

  it("from the front has the patient's left on the right, as radiologists see it", () => {
    expect(from(0, 0)).toEqual([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]); // prettier-ignore
    expect(from(Math.PI / 2, 0)[2]).toEqual([-1, 0, 0]); // from the left
    expect(from(0, Math.PI / 2)).toEqual([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]); // prettier-ignore
  });

  it("is not turned over the head, nor magnified without end", () => {
    expect(turned(START, 0, 99).elevation).toBe(Math.PI / 2);
    expect(turned(START, 0.2, 0).azimuth).toBeCloseTo(START.azimuth + 0.2);
    expect([zoomed(START, 1e6).zoom, zoomed(START, 0).zoom]).toEqual([12, 0.3]);
  });

  it("has all of the volume in the picture, whichever way it is turned", () => {
    const ball = ballOf(AFFINE, SHAPE);
    expect(ball.centre).toEqual([10.5, 21, 3]);
    const corners = [-0.5, 4.5].flatMap(
      (z) => cornersOf(planesOf(AFFINE).axial, SHAPE, AFFINE, z), // as slices that lie at its faces
    );
    for (const aspect of [0.5, 1, 2.5]) {
      for (let turn = 0; turn < 7; turn++) {
        const matrix = matrixOf({ azimuth: turn, elevation: turn / 7, zoom: 1 }, ball, aspect);
        for (const corner of corners) {
          for (const value of project(matrix, corner)) expect(Math.abs(value)).toBeLessThanOrEqual(1 + 1e-6);
        }
        expect(project(matrix, ball.centre).map((value) => Math.round(1e4 * value) + 0)).toEqual([0, 0, 0]);
      }
    }
    const matrix = matrixOf({ azimuth: 0, elevation: 0, zoom: 1 }, ball, 1);
    const [front, back] = [project(matrix, [10, 50, 3])[2], project(matrix, [10, -50, 3])[2]];
    expect(front).toBeLessThan(back); // the smaller is nearer
  });
});

describe("a slice among surfaces", () => {
  it("lies where its picture's corners are in the patient", () => {
    const { axial, sagittal } = planesOf(AFFINE);
    const [upperLeft, upperRight, lowerLeft] = cornersOf(axial, SHAPE, AFFINE, 1);
    expect(upperLeft).toEqual([20.5, 31, -1]); // patient right, anterior
    expect(upperRight).toEqual([0.5, 31, -1]);
    expect(lowerLeft).toEqual([20.5, 11, -1]);
    expect(cornersOf(sagittal, SHAPE, AFFINE, 0)[0]).toEqual([20, 31, 13]); // anterior, superior
  });
});
