/** What WebGL draws: lit surfaces and a slice with its picture, seen along parallel lines. */

import type { Colour } from "../slices";
import type { Vector } from "../surfaces";

const VERTEX = `#version 300 es
layout(location = 0) in vec3 place;
layout(location = 1) in vec3 normal;
uniform mat4 matrix;
out vec3 outwards;
void main() {
  outwards = normal;
  gl_Position = matrix * vec4(place, 1.0);
}`;
const LIT = `#version 300 es
precision highp float;
uniform vec4 colour;
uniform vec3 towards;
in vec3 outwards;
out vec4 pixel;
void main() {
  float light = abs(dot(normalize(outwards), towards));
  float shine = pow(light, 24.0) * 0.18;
  pixel = vec4(colour.rgb * (0.25 + 0.75 * light) + shine, colour.a);
}`;
const PICTURE_VERTEX = `#version 300 es
layout(location = 0) in vec3 place;
layout(location = 1) in vec2 at;
uniform mat4 matrix;
out vec2 where;
void main() {
  where = at;
  gl_Position = matrix * vec4(place, 1.0);
}`;
const PICTURE = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform float opacity;
in vec2 where;
out vec4 pixel;
void main() {
  pixel = vec4(texture(picture, where).rgb, opacity);
}`;
const CORNERS = [0, 0, 1, 0, 0, 1, 1, 1]; // of a picture, as its places come

export interface Mesh {
  readonly shape: WebGLVertexArrayObject;
  readonly buffers: readonly WebGLBuffer[];
  readonly count: number; // corners
}

export class Scene {
  readonly #gl: WebGL2RenderingContext;
  readonly #lit: WebGLProgram;
  readonly #picture: WebGLProgram;
  readonly #texture: WebGLTexture;
  #slice: Mesh | null = null;

  /** Throws where the browser has no WebGL 2. */
  constructor(canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: false, preserveDrawingBuffer: true });
    if (gl === null) throw new Error("no WebGL 2");
    this.#gl = gl;
    this.#lit = program(gl, VERTEX, LIT);
    this.#picture = program(gl, PICTURE_VERTEX, PICTURE);
    this.#texture = gl.createTexture();
    gl.enable(gl.DEPTH_TEST);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.clearColor(0.039, 0.047, 0.063, 1);
  }

  mesh(vertices: Float32Array, normals: Float32Array, corners: Uint32Array): Mesh {
    return this.#mesh([
      [vertices, 3],
      [normals, 3],
    ], corners); // prettier-ignore
  }

  #mesh(attributes: readonly (readonly [Float32Array, number])[], corners: Uint32Array): Mesh {
    const gl = this.#gl;
    const shape = gl.createVertexArray();
    gl.bindVertexArray(shape);
    const buffers = attributes.map(([values, size], location) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, gl.FLOAT, false, 0, 0);
      return buffer;
    });
    const elements = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, elements);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    return { shape, buffers: [...buffers, elements], count: corners.length };
  }

  remove({ shape, buffers }: Mesh): void {
    this.#gl.deleteVertexArray(shape);
    for (const buffer of buffers) this.#gl.deleteBuffer(buffer);
  }

  /** Show a slice's picture between four places. */
  setSlice(picture: ImageData, places: readonly Vector[]): void {
    const gl = this.#gl;
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.LINEAR);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    if (this.#slice !== null) this.remove(this.#slice);
    const quad = Uint32Array.of(0, 1, 2, 1, 3, 2);
    this.#slice = this.#mesh([
      [Float32Array.from(places.flat()), 3],
      [Float32Array.from(CORNERS), 2],
    ], quad); // prettier-ignore
  }

  /** Begin a picture of the canvas's size. */
  begin(width: number, height: number): void {
    const gl = this.#gl;
    gl.viewport(0, 0, width, height);
    gl.disable(gl.BLEND);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }

  /** Draw a surface; one that is not opaque goes over what was drawn, and hides nothing that follows. */
  drawMesh(mesh: Mesh, matrix: Float32Array, towards: Vector, colour: Colour, opacity: number): void {
    const gl = this.#gl;
    gl.useProgram(this.#lit);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.#lit, "matrix"), false, matrix);
    gl.uniform3f(gl.getUniformLocation(this.#lit, "towards"), ...towards);
    const [red, green, blue] = colour;
    gl.uniform4f(gl.getUniformLocation(this.#lit, "colour"), red / 255, green / 255, blue / 255, opacity);
    this.#draw(mesh, opacity);
  }

  drawSlice(matrix: Float32Array, opacity: number): void {
    if (this.#slice === null) return;
    const gl = this.#gl;
    gl.useProgram(this.#picture);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.#picture, "matrix"), false, matrix);
    gl.uniform1f(gl.getUniformLocation(this.#picture, "opacity"), opacity);
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    this.#draw(this.#slice, opacity);
  }

  #draw(mesh: Mesh, opacity: number): void {
    const gl = this.#gl;
    if (opacity < 1) gl.enable(gl.BLEND);
    gl.depthMask(opacity >= 1);
    gl.bindVertexArray(mesh.shape);
    gl.drawElements(gl.TRIANGLES, mesh.count, gl.UNSIGNED_INT, 0);
    gl.bindVertexArray(null);
  }

  destroy(): void {
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function program(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const made = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(kind);
    if (shader === null) throw new Error("WebGL was lost");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (gl.getProgramParameter(made, gl.LINK_STATUS) !== true) throw new Error(gl.getProgramInfoLog(made) ?? "WebGL");
  return made;
}
