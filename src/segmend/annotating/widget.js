/**
 * The page of segmend.show: one slice of an image with its labels, and the marks that a person puts down on it.
 *
 * It is a module of anywidget and is served as it stands: no build, and nothing is loaded from anywhere. Python holds
 * the annotation (panel.py says what messages there are); this file holds which slice is shown and how.
 */

const STYLE = `
.segmend-view { font: 13px system-ui, sans-serif; color: #e8e8e8; background: #1b1d20; border-radius: 6px;
  padding: 8px; display: grid; gap: 6px; max-width: 760px; box-sizing: border-box; outline: none; }
.segmend-view:focus-visible { box-shadow: 0 0 0 2px #5aa9ff; }
.segmend-view .row { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; }
.segmend-view button, .segmend-view select { font: inherit; color: inherit; background: #2d3136; border: 1px solid #4a4f56;
  border-radius: 4px; padding: 3px 8px; min-height: 26px; cursor: pointer; }
.segmend-view button:focus-visible, .segmend-view input:focus-visible { outline: 2px solid #5aa9ff; }
.segmend-view button[aria-pressed="true"] { background: #2b5d94; border-color: #5aa9ff; }
.segmend-view button:disabled { opacity: 0.4; cursor: default; }
.segmend-view canvas { display: block; width: 100%; background: #000; border-radius: 4px; touch-action: none;
  cursor: crosshair; }
.segmend-view .gap { width: 8px; }
.segmend-view .grow { flex: 1; min-width: 80px; }
.segmend-view .colour { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.segmend-view .error { color: #ffb4a8; }
.segmend-view .quiet { color: #aab0b8; }
`;

const TOOLS = [
  ["click", "Click", "Click on the object, or on what is wrong"],
  ["box", "Box", "Drag a box round the object"],
  ["stroke", "Stroke", "Draw over the object, or over what is wrong"],
  ["lasso", "Lasso", "Draw a line round a part"],
  ["remove", "Remove a mark", "Click on a mark to take it away"],
];
const REACHES = [
  ["whole", "as far as needed"],
  ["near", "near the mark"],
  ["slice", "only in its slice"],
  ["part", "only its connected part"],
];
const HEIGHT = 440; // CSS pixels of the picture
const REACH = 12; // CSS pixels round a mark in which a click is on it
const FAR = 3; // voxels of dragging below which a box is taken for a slip

/** Lay a page out in an element, and connect it to the annotation behind the model. */
function render({ model, el }) {
  const view = `${Date.now()}-${Math.random()}`;
  const look = { plane: 0, index: 0, channel: 0, zoom: 1, moveX: 0, moveY: 0, opacity: 0.45, uncertain: false };
  let state = null;
  let slice = null; // the voxels that are shown
  let tool = "click";
  let positive = true;
  let radius = 2;
  let far = "whole"; // how far marks may change the mask
  let farMm = 15; // the distance, where it is one
  let drawing = null; // what is being dragged: {tool, positive, points}
  let waiting = 0; // slices that were asked for and have not come
  let sent = 0; // changes that were sent
  let busy = false;

  const root = element("div", "segmend-view");
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the keys to this element
  const style = document.createElement("style");
  style.textContent = STYLE;
  const tools = element("div", "row");
  const labels = element("div", "row");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "A slice of the image with its labels");
  const below = element("div", "row");
  const status = element("div", "row quiet");
  status.setAttribute("role", "status");
  const error = element("div", "error");
  error.setAttribute("role", "alert");
  root.append(style, tools, labels, canvas, below, status, error);
  el.append(root);

  function element(name, classes) {
    const made = document.createElement(name);
    made.className = classes;
    return made;
  }

  function button(text, title, press, { pressed, disabled = false } = {}) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.title = title;
    made.disabled = disabled;
    if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
    made.addEventListener("click", press);
    return made;
  }

  // Messages

  function change(message) {
    sent += 1;
    error.textContent = "";
    model.send(message);
  }

  function ask() {
    if (!state) return;
    waiting += 1;
    model.send({ type: "slice", view, plane: look.plane, index: look.index, channel: look.channel });
  }

  function receive(content, buffers) {
    if (content.type === "state") {
      const first = state === null;
      state = content;
      if (first) {
        [look.plane, look.index] = state.shown;
        ask();
      }
      fill();
      draw();
    } else if (content.type === "slice") {
      if (content.view !== view) return;
      waiting -= 1;
      if (content.plane !== look.plane || content.index !== look.index || content.channel !== look.channel) return;
      slice = unpacked(content, buffers);
      draw();
    } else if (content.type === "changed") {
      ask();
    } else if (content.type === "look") {
      show(content.plane, content.index);
      draw();
    } else if (content.type === "go") {
      goTo(content.place);
      positive = !content.inside; // the mark that would change it
      fill();
    } else if (content.type === "busy") {
      busy = content.busy;
      root.setAttribute("aria-busy", String(busy));
      tell();
    } else if (content.type === "error") {
      error.textContent = content.message;
    }
  }

  function unpacked(content, buffers) {
    const bytes = buffers.map((one) => new Uint8Array(one.buffer ? one.buffer.slice(one.byteOffset, one.byteOffset + one.byteLength) : one));
    return {
      plane: content.plane,
      index: content.index,
      width: content.width,
      height: content.height,
      pixels: bytes[0],
      labels: new Uint16Array(bytes[1].buffer),
      uncertain: bytes[2] ?? null,
    };
  }

  // Geometry: voxels (z, y, x), cells of the picture (row, column), pixels of the canvas

  const plane = () => state.planes[look.plane];

  /** How many cells of the whole slice there are, and how large each is on the canvas. */
  function fit() {
    const { rows, columns } = plane();
    const [height, width] = [state.shape[rows], state.shape[columns]];
    const [tall, wide] = [state.spacing[rows], state.spacing[columns]];
    const scale = Math.min(canvas.width / (width * wide), canvas.height / (height * tall)) * look.zoom;
    const [x, y] = [wide * scale, tall * scale];
    const left = (canvas.width - width * x) / 2 + look.moveX * x;
    const top = (canvas.height - height * y) / 2 + look.moveY * y;
    return { height, width, x, y, left, top };
  }

  function cellOf(index) {
    const { rows, columns, flip_rows: down, flip_columns: across } = plane();
    const { height, width } = fit();
    return [down ? height - 1 - index[rows] : index[rows], across ? width - 1 - index[columns] : index[columns]];
  }

  /** The middle of a voxel on the canvas; null where another slice is shown. */
  function pointOf(index) {
    if (index[plane().axis] !== look.index) return null;
    const [row, column] = cellOf(index);
    const { x, y, left, top } = fit();
    return [left + (column + 0.5) * x, top + (row + 0.5) * y];
  }

  /** The voxel under a point of the canvas; null beside the image. */
  function voxelAt([px, py], clamped = false) {
    const { rows, columns, flip_rows: down, flip_columns: across, axis } = plane();
    const { height, width, x, y, left, top } = fit();
    let [row, column] = [Math.floor((py - top) / y), Math.floor((px - left) / x)];
    if (clamped) {
      row = Math.min(Math.max(row, 0), height - 1);
      column = Math.min(Math.max(column, 0), width - 1);
    }
    if (row < 0 || column < 0 || row >= height || column >= width) return null;
    const index = [0, 0, 0];
    index[axis] = look.index;
    index[rows] = down ? height - 1 - row : row;
    index[columns] = across ? width - 1 - column : column;
    return index;
  }

  function onCanvas(event) {
    const place = canvas.getBoundingClientRect();
    const ratio = canvas.width / place.width;
    return [(event.clientX - place.left) * ratio, (event.clientY - place.top) * ratio];
  }

  function show(number, index) {
    const count = state.shape[state.planes[number].axis];
    const other = number !== look.plane;
    look.plane = number;
    look.index = Math.min(Math.max(index, 0), count - 1);
    if (other) [look.zoom, look.moveX, look.moveY] = [1, 0, 0];
    slice = null;
    ask();
    fill();
  }

  function goTo(place) {
    show(look.plane, place[plane().axis]);
    target = place;
    draw();
  }
  let target = null; // the place that was gone to, shown until the next mark

  // The picture

  const under = document.createElement("canvas");
  const over = document.createElement("canvas");

  function layer(onto, paint) {
    [onto.width, onto.height] = [slice.width, slice.height];
    const image = new ImageData(slice.width, slice.height);
    paint(image.data);
    onto.getContext("2d").putImageData(image, 0, 0);
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const tall = Math.round(HEIGHT * ratio);
    if (canvas.width !== wide || canvas.height !== tall) {
      [canvas.width, canvas.height] = [wide, tall];
      canvas.style.height = `${HEIGHT}px`;
    }
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#000";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    if (!state) return;
    if (slice) drawVoxels(brush);
    drawEnds(brush, ratio);
    for (const mark of state.marks) drawMark(brush, mark, ratio);
    if (target) drawTarget(brush, ratio);
    if (drawing) drawDrawing(brush, ratio);
    if (isLocked()) drawLocked(brush, ratio);
  }

  function drawLocked(brush, ratio) {
    const { height, width, x, y, left, top } = fit();
    brush.strokeStyle = brush.fillStyle = "#facc15";
    brush.lineWidth = 2 * ratio;
    brush.strokeRect(left, top, width * x, height * y);
    brush.font = `${13 * ratio}px system-ui, sans-serif`;
    [brush.textAlign, brush.textBaseline] = ["left", "top"];
    brush.fillText("Slice locked", Math.max(left, 0) + 8 * ratio, Math.max(top, 0) + 8 * ratio);
  }

  function drawVoxels(brush) {
    layer(under, (data) => {
      for (let i = 0, j = 0; i < data.length; i += 4, j += 3) {
        data[i] = slice.pixels[j];
        data[i + 1] = slice.pixels[j + 1];
        data[i + 2] = slice.pixels[j + 2];
        data[i + 3] = 255;
      }
    });
    const colours = new Map(state.labels.map((label) => [label.value, label.colour]));
    layer(over, (data) => {
      for (let i = 0, j = 0; i < data.length; i += 4, j += 1) {
        const colour = colours.get(slice.labels[j]);
        if (colour) data.set([...colour, Math.round(255 * look.opacity)], i);
        const doubt = look.uncertain && slice.uncertain ? slice.uncertain[j] : 0;
        if (doubt) data.set([255, 0, 255, Math.round(0.8 * doubt)], i);
      }
    });
    const { height, width, x, y, left, top } = fit();
    for (const [picture, smooth] of [[under, true], [over, false]]) {
      brush.imageSmoothingEnabled = smooth && x < 3 && y < 3;
      const step = plane().step;
      brush.drawImage(picture, left, top, picture.width * step * x, picture.height * step * y);
    }
    brush.strokeStyle = "#444";
    brush.strokeRect(left, top, width * x, height * y);
  }

  function drawEnds(brush, ratio) {
    if (state.shape[0] === 1) return;
    const [left, right, top, bottom] = plane().ends;
    brush.fillStyle = "#ffd27a";
    brush.font = `${13 * ratio}px system-ui, sans-serif`;
    brush.textBaseline = "middle";
    brush.textAlign = "center";
    const [w, h] = [canvas.width, canvas.height];
    brush.fillText(left, 10 * ratio, h / 2);
    brush.fillText(right, w - 10 * ratio, h / 2);
    brush.fillText(top, w / 2, 12 * ratio);
    brush.fillText(bottom, w / 2, h - 12 * ratio);
  }

  const colourOf = (mark) => (mark.positive ? "#7dff7d" : "#ff6b6b");

  function drawMark(brush, mark, ratio) {
    const { prompt } = mark;
    brush.strokeStyle = brush.fillStyle = colourOf(mark);
    brush.lineWidth = 2 * ratio;
    if (prompt.kind === "click") {
      const point = pointOf(prompt.index);
      if (point) dot(brush, point, 5 * ratio);
    } else if (prompt.kind === "box") {
      const { axis } = plane();
      if (look.index < prompt.low[axis] || look.index >= prompt.high[axis]) return;
      const low = [...prompt.low];
      const high = prompt.high.map((value) => value - 1);
      low[axis] = high[axis] = look.index;
      frame(brush, low, high);
    } else if (prompt.points) {
      line(brush, prompt.points, prompt.kind === "lasso");
    }
  }

  function dot(brush, [x, y], size) {
    brush.beginPath();
    brush.arc(x, y, size, 0, 2 * Math.PI);
    brush.fill();
    brush.lineWidth = size / 4;
    brush.strokeStyle = "#000";
    brush.stroke();
  }

  function frame(brush, low, high) {
    const [one, other] = [cellOf(low), cellOf(high)];
    const { x, y, left, top } = fit();
    const [row, column] = [Math.min(one[0], other[0]), Math.min(one[1], other[1])];
    const [rows, columns] = [Math.abs(one[0] - other[0]) + 1, Math.abs(one[1] - other[1]) + 1];
    brush.strokeRect(left + column * x, top + row * y, columns * x, rows * y);
  }

  function line(brush, points, closed) {
    brush.beginPath();
    let last = null;
    for (const index of points) {
      const point = pointOf(index);
      if (point && last) brush.lineTo(...point);
      else if (point) brush.moveTo(...point);
      last = point;
    }
    if (closed && last) brush.closePath();
    brush.stroke();
    if (points.length === 1 && last) dot(brush, last, brush.lineWidth * 2);
  }

  function drawTarget(brush, ratio) {
    const point = pointOf(target);
    if (!point) return;
    brush.strokeStyle = "#ff8cff";
    brush.lineWidth = 2 * ratio;
    brush.beginPath();
    brush.arc(...point, 14 * ratio, 0, 2 * Math.PI);
    brush.stroke();
  }

  function drawDrawing(brush, ratio) {
    brush.strokeStyle = brush.fillStyle = colourOf(drawing);
    brush.lineWidth = 2 * ratio;
    if (drawing.tool === "box") frame(brush, drawing.points[0], drawing.points.at(-1));
    else line(brush, drawing.points, drawing.tool === "lasso");
  }

  // What a person does

  canvas.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    if (!state || drawing) return;
    event.preventDefault();
    const at = onCanvas(event);
    if (event.button === 1 || (event.button === 0 && event.shiftKey)) {
      pan(event);
      return;
    }
    const sign = event.button === 2 ? !positive : positive;
    const index = voxelAt(at);
    if (tool === "remove") {
      removeAt(at);
    } else if (!index) {
      return;
    } else if (!state.label) {
      error.textContent = "There is no label to mark; add one first.";
    } else if (tool === "click") {
      target = null;
      mark({ kind: "click", index, positive: sign });
    } else {
      drawing = { tool, positive: tool === "box" || sign, points: [index] };
      canvas.setPointerCapture(event.pointerId);
      draw();
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const index = voxelAt(onCanvas(one), true);
      if (String(index) !== String(drawing.points.at(-1))) drawing.points.push(index);
    }
    draw();
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!drawing) return;
    const { tool: kind, positive: sign, points } = drawing;
    const index = voxelAt(onCanvas(event), true);
    if (String(index) !== String(points.at(-1))) points.push(index);
    drawing = null;
    target = null;
    const prompt = promptOf(kind, sign, points);
    if (prompt) mark(prompt);
    draw();
  });

  canvas.addEventListener("pointercancel", () => {
    drawing = null;
    draw();
  });
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has a menu of its own
  });

  function mark(prompt) {
    change({ type: "mark", label: state.label, prompt, reach: reachOf(prompt) });
  }

  function reachOf(prompt) {
    if (far === "near") return { mm: farMm };
    if (far === "slice") return { axis: prompt.axis ?? plane().axis };
    return far === "part" ? { part: true } : null;
  }

  const isLocked = () => (state.locked[plane().axis] ?? []).includes(look.index);

  function lock() {
    change({ type: "lock", plane: look.plane, index: look.index, locked: !isLocked() });
  }

  function promptOf(kind, sign, points) {
    if (kind === "stroke") return { kind, points, positive: sign, radius };
    if (kind === "lasso") return points.length < 3 ? null : { kind, points, positive: sign, axis: plane().axis };
    const [one, other] = [points[0], points.at(-1)];
    const low = one.map((value, axis) => Math.min(value, other[axis]));
    const high = one.map((value, axis) => Math.max(value, other[axis]) + 1);
    const { rows, columns } = plane();
    const slip = high[rows] - low[rows] < FAR && high[columns] - low[columns] < FAR;
    return slip ? null : { kind, low, high };
  }

  function pan(event) {
    const start = onCanvas(event);
    const [moveX, moveY] = [look.moveX, look.moveY];
    const move = (moved) => {
      const now = onCanvas(moved);
      const { x, y } = fit();
      look.moveX = moveX + (now[0] - start[0]) / x;
      look.moveY = moveY + (now[1] - start[1]) / y;
      draw();
    };
    canvas.setPointerCapture(event.pointerId);
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", () => canvas.removeEventListener("pointermove", move), { once: true });
  }

  function removeAt([px, py]) {
    const reach = REACH * (window.devicePixelRatio || 1);
    const { label } = state;
    let [best, least] = [null, reach];
    for (const mark of state.marks.filter((one) => one.label === label)) {
      for (const index of placesOf(mark.prompt)) {
        const point = pointOf(index);
        const away = point ? Math.hypot(point[0] - px, point[1] - py) : Infinity;
        if (away <= least) [best, least] = [mark, away];
      }
    }
    if (best) change({ type: "remove", event: best.event });
    else error.textContent = "There is no mark of this label here.";
  }

  function placesOf(prompt) {
    if (prompt.kind === "click") return [prompt.index];
    if (prompt.points) return prompt.points;
    if (prompt.kind !== "box") return [];
    const { rows, columns, axis } = plane();
    if (look.index < prompt.low[axis] || look.index >= prompt.high[axis]) return [];
    const edge = [];
    for (const [along, across] of [[rows, columns], [columns, rows]]) {
      for (let at = prompt.low[along]; at < prompt.high[along]; at += 1) {
        for (const side of [prompt.low[across], prompt.high[across] - 1]) {
          const index = [0, 0, 0];
          [index[axis], index[along], index[across]] = [look.index, at, side];
          edge.push(index);
        }
      }
    }
    return edge;
  }

  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!state) return;
      event.preventDefault();
      if (!event.ctrlKey) {
        if (state.shape[plane().axis] > 1) show(look.plane, look.index + Math.sign(event.deltaY));
        return;
      }
      const [px, py] = onCanvas(event);
      const before = fit();
      const [column, row] = [(px - before.left) / before.x, (py - before.top) / before.y];
      look.zoom = Math.min(Math.max(look.zoom * (event.deltaY < 0 ? 1.25 : 0.8), 1), 40);
      const after = fit();
      look.moveX += (px - after.left) / after.x - column;
      look.moveY += (py - after.top) / after.y - row;
      if (look.zoom === 1) [look.moveX, look.moveY] = [0, 0];
      draw();
    },
    { passive: false },
  );

  root.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLInputElement || !state) return;
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    let known = true;
    if (command && key === "z" && !event.shiftKey) press("undo");
    else if (command && (key === "y" || key === "z")) press("redo");
    else if (command) known = false;
    else if (key === "arrowup" || key === "pageup") show(look.plane, look.index - 1);
    else if (key === "arrowdown" || key === "pagedown") show(look.plane, look.index + 1);
    else if (key === "n") change({ type: "next" });
    else if (key === "x") positive = !positive;
    else if (key === "u" && state.planes.length > 1) lock();
    else if (key === "escape" && drawing) drawing = null;
    else known = false;
    if (!known) return;
    event.preventDefault();
    event.stopPropagation();
    fill();
    draw();
  });

  function press(what) {
    if (state[what]) change({ type: what });
  }

  // Rows of buttons

  function fill() {
    if (!state) return;
    const kept = root.contains(document.activeElement) ? document.activeElement.title : null;
    fillTools();
    fillLabels();
    fillBelow();
    tell();
    if (kept) [...root.querySelectorAll("button, input")].find((one) => one.title === kept)?.focus({ preventScroll: true });
  }

  function fillTools() {
    const choose = (name) => () => {
      tool = name;
      fill();
    };
    const sign = (value) => () => {
      positive = value;
      fill();
    };
    const gap = () => element("span", "gap");
    const size = document.createElement("input");
    Object.assign(size, { type: "range", min: 0.5, max: 20, step: 0.5, value: radius, title: "Half the width of a stroke, in voxels" });
    size.addEventListener("input", () => (radius = Number(size.value)));
    tools.replaceChildren(
      ...TOOLS.map(([name, text, title]) => button(text, title, choose(name), { pressed: tool === name })),
      ...(tool === "stroke" ? [size] : []),
      gap(),
      button("+ object", "Marks say: this is the object (X changes over)", sign(true), { pressed: positive }),
      button("− not", "Marks say: this is not the object (X changes over; or use the right button)", sign(false), { pressed: !positive }),
      gap(),
      button("Undo", "Undo (Ctrl+Z)", () => press("undo"), { disabled: !state.undo }),
      button("Redo", "Redo (Ctrl+Y)", () => press("redo"), { disabled: !state.redo }),
      gap(),
      ...reachParts(),
    );
  }

  function reachParts() {
    const words = element("label", "quiet");
    const choice = document.createElement("select");
    choice.title = "How far a mark may change the mask";
    for (const [kind, text] of REACHES) {
      if (kind !== "slice" || state.planes.length > 1) choice.append(new Option(text, kind, false, kind === far));
    }
    choice.addEventListener("change", () => {
      far = choice.value;
      fill();
    });
    words.append("Changes ", choice);
    if (far !== "near") return [words];
    const mm = document.createElement("input");
    Object.assign(mm, { type: "number", min: 1, max: 200, step: 1, value: farMm, title: "Distance in mm" });
    mm.addEventListener("change", () => {
      farMm = Math.min(Math.max(Math.round(Number(mm.value)) || farMm, 1), 200);
      mm.value = farMm;
    });
    return [words, mm, Object.assign(element("span", "quiet"), { textContent: "mm" })];
  }

  function fillLabels() {
    const chips = state.labels.map((label) => {
      const made = button(label.name, "Work on this label; a double click renames it", () => change({ type: "choose", label: label.value }), {
        pressed: label.value === state.label,
      });
      const colour = element("span", "colour");
      colour.style.background = `rgb(${label.colour.join(",")})`;
      made.prepend(colour);
      made.title = `Work on ${label.name}; a double click renames it`;
      made.addEventListener("dblclick", () => rename(made, label));
      return made;
    });
    labels.replaceChildren(...chips, button("Add a label", "Add a label", () => change({ type: "label" })));
  }

  function rename(chip, label) {
    const field = document.createElement("input");
    Object.assign(field, { value: label.name, maxLength: 200, title: "The label's name" });
    chip.replaceWith(field);
    field.focus();
    field.select();
    let over = false;
    const end = (keep) => {
      if (over) return;
      over = true;
      if (keep && field.value.trim() && field.value !== label.name) change({ type: "rename", label: label.value, name: field.value.trim() });
      fill();
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") end(false);
    });
    field.addEventListener("blur", () => end(true));
  }

  function fillBelow() {
    const count = state.shape[plane().axis];
    const parts = [];
    if (state.planes.length > 1) {
      for (const [number, one] of state.planes.entries()) {
        const middle = Math.floor(state.shape[one.axis] / 2);
        const at = target ? target[one.axis] : middle;
        parts.push(button(one.name, `Show ${one.name} slices`, () => show(number, at), { pressed: number === look.plane }));
      }
      const slider = document.createElement("input");
      Object.assign(slider, { type: "range", min: 0, max: count - 1, value: look.index, className: "grow", title: "Slice" });
      slider.addEventListener("input", () => {
        look.index = Number(slider.value);
        ask();
        below.querySelector("[title^='Lock']").setAttribute("aria-pressed", String(isLocked()));
        tell();
      });
      parts.push(slider);
      parts.push(
        button("Lock slice", "Lock the slice: no mask changes in it (U)", lock, { pressed: isLocked() }),
      );
    }
    if (state.channels > 1) {
      const channels = document.createElement("select");
      channels.title = "Channel";
      for (let i = 0; i < state.channels; i += 1) channels.append(new Option(`channel ${i}`, i, false, i === look.channel));
      channels.addEventListener("change", () => {
        look.channel = Number(channels.value);
        ask();
      });
      parts.push(channels);
    }
    const opacity = document.createElement("input");
    Object.assign(opacity, { type: "range", min: 0, max: 1, step: 0.05, value: look.opacity, title: "Opacity of the labels" });
    opacity.addEventListener("input", () => {
      look.opacity = Number(opacity.value);
      draw();
    });
    opacity.setAttribute("aria-label", "Opacity of the labels");
    const words = element("span", "quiet");
    words.textContent = "Opacity";
    parts.push(
      words,
      opacity,
      button("Uncertainty", "Show where the last answer is uncertain", () => {
        look.uncertain = !look.uncertain;
        fill();
        draw();
      }, { pressed: look.uncertain, disabled: !state.uncertain }),
      button("Where next?", "Go to the next uncertain place (N)", () => change({ type: "next" }), { disabled: !state.uncertain }),
    );
    below.replaceChildren(...parts);
  }

  function tell() {
    if (!state) return;
    const count = state.shape[plane().axis];
    const words = [count > 1 ? `Slice ${look.index + 1} of ${count}` : ""];
    words.push(`${state.marks.length} ${state.marks.length === 1 ? "mark" : "marks"}`);
    if (state.quality !== null) words.push(`expected Dice ${state.quality.toFixed(2)}`);
    if (state.enough && !busy) words.push("it rises no more");
    if (busy) words.push("working …");
    status.textContent = words.filter(Boolean).join(" · ");
  }

  const watched = new ResizeObserver(() => draw());
  watched.observe(canvas);
  model.on("msg:custom", receive);
  model.send({ type: "hello" });

  // What tests and other scripts of the page may ask
  root.segmend = {
    state: () => state,
    settled: () => state !== null && slice !== null && waiting === 0 && !busy,
    sent: () => sent,
    show,
    look: () => ({ ...look }),
    labelAt: (index) => {
      const [row, column] = cellOf(index);
      const { step } = plane();
      return slice.labels[Math.floor(row / step) * slice.width + Math.floor(column / step)];
    },
    placeOf: (index) => {
      const point = pointOf(index);
      if (!point) return null;
      const place = canvas.getBoundingClientRect();
      const ratio = place.width / canvas.width;
      return [place.left + point[0] * ratio, place.top + point[1] * ratio];
    },
  };

  return () => {
    watched.disconnect();
    model.off("msg:custom", receive);
  };
}

export default { render };
