"use strict";
// Elements, numbers, scales, tooltips and sortable tables. Knows nothing of what is drawn.

const builder = (space) => (tag, attributes = {}, ...children) => {
  const node = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
};
const html = builder(null);
const svg = builder("http://www.w3.org/2000/svg");

// -- numbers -----------------------------------------------------------------------------------------------------

const isNumber = (value) => typeof value === "number";

// As crossohm.studies.wording.number writes them, with a real minus sign.
function plain(value, digits = 4) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value).replace("-", "−");
  if (size >= 10 ** digits && size < 1e6) return String(Math.round(value)).replace("-", "−");
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
  const text = exponent < -4 || exponent >= digits ? `${mantissa}e${exponent}` : String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, "−").replace("e−", "e-");
}

function textOf(value, unit = "") {
  if (value === "inf") return "∞" + (unit && ` ${unit}`);
  if (value === "-inf") return "−∞" + (unit && ` ${unit}`);
  if (!isNumber(value)) return "undefined";
  return unit === "%" ? `${(100 * value).toFixed(2).replace("-", "−")} %` : plain(value) + (unit && ` ${unit}`);
}

const spreadText = ({ mean, std }, unit) => textOf(mean, unit) + (std === null ? "" : ` ± ${textOf(std, unit)}`);

// -- scales ------------------------------------------------------------------------------------------------------

// Ticks are pairs of a value and its text, at most about `most` of them.
function linear(low, high, from, to, most, whole = false) {
  if (low === high) { low -= Math.abs(low) / 20 || 1; high += Math.abs(high) / 20 || 1; }
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  let step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * (1 - 1e-9));
  if (whole) step = Math.max(1, Math.round(step));
  const digits = (value) => value === 0 ? 1 : Math.max(1, Math.floor(Math.log10(Math.abs(value))) - Math.floor(Math.log10(step)) + 1);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) {
    const value = Number((n * step).toPrecision(12));
    ticks.push([value, plain(value, Math.max(4, digits(value)))]);
  }
  return { map: (value) => from + (to - from) * (value - low) / (high - low), ticks };
}

function logarithmic(low, high, from, to, most) {
  if (low === high) { low /= 2; high *= 2; }
  const a = Math.log10(low), b = Math.log10(high);
  const values = [];
  const factors = b - a > most / 3 ? [1] : [1, 2, 5], every = Math.max(1, Math.ceil((b - a) / most));
  for (let n = Math.floor(a); n <= b; n += 1) if (n % every === 0) values.push(...factors.map((factor) => Number(`${factor}e${n}`)));
  const ticks = values.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001).map((tick) => [tick, plain(tick)]);
  return { map: (value) => from + (to - from) * (Math.log10(value) - a) / (b - a), ticks };
}

function padded(values, share) {
  const low = Math.min(...values), high = Math.max(...values);
  return [low - (high - low) * share, high + (high - low) * share];
}

// -- charts: drawn in the pixels they are shown in, so that their text keeps its size ------------------------------

const GAP = 8, LINE = 16, NARROWEST = 260, WIDEST = 1100, PAPER = 680;
const paper = { printing: false };
const roomOf = (holder) => paper.printing ? PAPER : Math.min(WIDEST, Math.max(NARROWEST, holder.clientWidth));

const measuring = document.createElement("canvas").getContext("2d");
function widthOf(text) {
  measuring.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return measuring.measureText(text).width * 1.03;
}

// A text in lines of at most `width` pixels, broken between words and names, and within them where it must be.
function folded(text, width) {
  const lines = [""];
  for (const piece of text.match(/[^\s.,_/=]*[\s.,_/=]*/g)) {
    if (widthOf(lines.at(-1) + piece.trimEnd()) > width && lines.at(-1)) lines.push("");
    for (const letter of widthOf(piece) > width ? piece : [piece]) {
      if (widthOf(lines.at(-1) + letter) > width && lines.at(-1)) lines.push("");
      lines[lines.length - 1] += letter;
    }
  }
  return lines.map((line) => line.trim()).filter(Boolean);
}

function write(root, lines, x, y, attributes = {}) {
  lines.forEach((line, index) => root.append(svg("text", { x, y: y + index * LINE, ...attributes }, line)));
}

function canvas(holder, name, width, height) {
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": name });
  holder.replaceChildren(root);
  return root;
}

// Numbers over numbers. x and y have `title`, `low`, `high` and maybe `log`, `whole` (ticks are whole numbers),
// `within` (of ticks) and `format` (of a tick). The title of y stands above the plot, that of x below it.
function axes(holder, name, x, y) {
  const width = roomOf(holder), head = folded(y.title, width), foot = folded(x.title, width);
  const top = head.length * LINE + 10, bottom = top + (width < 500 ? 230 : 300);
  const up = (y.log ? logarithmic : linear)(y.low, y.high, bottom, top, 6);
  if (y.within) up.ticks = up.ticks.filter(([value]) => value >= y.within[0] && value <= y.within[1]);
  const texts = up.ticks.map(([value, text]) => (y.format ?? ((_, own) => own))(value, text));
  const left = Math.ceil(Math.max(0, ...texts.map(widthOf))) + GAP + 6, right = width - 16;
  const most = Math.max(2, Math.floor((right - left) / 70));
  const across = (x.log ? logarithmic : linear)(x.low, x.high, left, right, most, x.whole);
  const root = canvas(holder, name, width, bottom + 24 + foot.length * LINE + 4);
  up.ticks.forEach(([value], index) => {
    const at = up.map(value);
    root.append(svg("line", { x1: left, x2: right, y1: at, y2: at, class: "grid" }),
      svg("text", { x: left - GAP, y: at + 4, "text-anchor": "end", class: "tick" }, texts[index]));
  });
  drawTicks(root, across, top, bottom, false);
  root.append(svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "grid" }));
  write(root, head, 0, 12);
  write(root, foot, (left + right) / 2, bottom + 38, { "text-anchor": "middle" });
  return { root, x: across.map, y: up.map, left, right, top, bottom };
}

// Ticks below a plot; those that would touch the one before them have no text.
function drawTicks(root, across, top, bottom, whole) {
  let end = -Infinity;
  for (const [value, text] of across.ticks) {
    const at = across.map(value), half = widthOf(text) / 2;
    root.append(svg("line", { x1: at, x2: at, y1: whole ? top : bottom, y2: bottom + 5, class: "grid" }));
    if (at - half < end + 6) continue;
    end = at + half;
    root.append(svg("text", { x: at, y: bottom + 18, "text-anchor": "middle", class: "tick" }, text));
  }
}

// Numbers of things with names: one row each, the name beside it or above it, whole. `x` as above; `thick`: of a row.
function rows(holder, name, labels, x, thick) {
  const width = roomOf(holder), widest = Math.ceil(Math.max(...labels.map(widthOf)));
  const beside = widest < 0.45 * width, left = beside ? widest + GAP : 4, right = width - (x.margin ?? 16);
  const texts = labels.map((label) => beside ? [label] : folded(label, width));
  const foot = folded(x.title, width), places = [];
  let bottom = 6;
  for (const lines of texts) {
    const above = beside ? 0 : lines.length * LINE + 2;
    places.push({ text: beside ? bottom + thick / 2 + 4 : bottom + 12, middle: bottom + above + thick / 2 });
    bottom += above + thick + 6;
  }
  const most = Math.max(2, Math.floor((right - left) / 70));
  const across = (x.log ? logarithmic : linear)(x.low, x.high, left, right, most);
  const root = canvas(holder, name, width, bottom + 24 + foot.length * LINE + 4);
  drawTicks(root, across, 0, bottom, true);
  texts.forEach((lines, index) => write(root, lines, beside ? left - GAP : 0, places[index].text, beside ? { "text-anchor": "end" } : {}));
  write(root, foot, (left + right) / 2, bottom + 38, { "text-anchor": "middle" });
  return { root, x: across.map, row: (index) => places[index].middle, left, right, top: 0, bottom };
}

// -- tooltips: by pointer and by keyboard -------------------------------------------------------------------------

function tip(node, text) {
  const box = document.getElementById("tip");
  const show = () => {
    const place = node.getBoundingClientRect();
    box.textContent = text;
    box.style.display = "block";
    const left = Math.min(place.right + 8, document.documentElement.clientWidth - box.offsetWidth - 8);
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${Math.max(8, place.top - box.offsetHeight - 8)}px`;
  };
  const hide = () => { box.style.display = "none"; };
  for (const event of ["pointerenter", "focus"]) node.addEventListener(event, show);
  for (const event of ["pointerleave", "blur"]) node.addEventListener(event, hide);
  node.classList.add("mark");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", text);
  return node;
}

// One stop of the tabulator key for a chart; arrow keys go from mark to mark.
function walkable(root) {
  const marks = [...root.querySelectorAll(".mark")];
  marks.forEach((mark, index) => mark.setAttribute("tabindex", index ? -1 : 0));
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = marks[marks.indexOf(document.activeElement) + step];
    if (!step || !next) return;
    event.preventDefault();
    marks.forEach((mark) => mark.setAttribute("tabindex", mark === next ? 0 : -1));
    next.focus();
  });
}

// -- controls ----------------------------------------------------------------------------------------------------

function choice(label, options, chosen, changed) {
  const select = html("select", { onchange: () => changed(Number(select.value)) });
  options.forEach(([value, text]) => select.append(html("option", { value, selected: value === chosen }, text)));
  return html("label", { class: "field" }, label, select);
}

function tick(label, checked, changed) {
  const box = html("input", { type: "checkbox", checked, onchange: () => changed(box.checked) });
  return html("label", {}, box, ` ${label}`);
}

// -- tables ------------------------------------------------------------------------------------------------------

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = html("button", { type: "button", onclick: () => sort(table, heads, column) }, ...head.childNodes);
    head.setAttribute("aria-sort", "none");
    head.replaceChildren(button);
  });
}

function sort(table, heads, column) {
  const down = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head, index) => head.setAttribute("aria-sort", index !== column ? "none" : down ? "descending" : "ascending"));
  const key = (row) => {
    const cell = row.cells[column];
    if (!cell) return Infinity; // a point that failed has no more cells
    const value = Number(cell.dataset.value ?? cell.textContent.replace(/,/g, ""));
    return Number.isNaN(value) ? cell.textContent : value;
  };
  const order = (a, b) => isNumber(a) && isNumber(b) ? a - b : String(a).localeCompare(String(b));
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => order(key(a), key(b)) * (down ? -1 : 1)));
}

// -- paper -------------------------------------------------------------------------------------------------------

// Calls `draw` when the width changes, and around printing, where everything that is folded away is opened.
function keepDrawn(draw) {
  let width = document.documentElement.clientWidth, opened = [];
  window.addEventListener("resize", () => {
    if (paper.printing || width === document.documentElement.clientWidth) return;
    width = document.documentElement.clientWidth;
    draw();
  });
  window.addEventListener("beforeprint", () => {
    paper.printing = true;
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((each) => { each.open = true; });
    draw();
  });
  window.addEventListener("afterprint", () => {
    paper.printing = false;
    opened.forEach((each) => { each.open = false; });
    draw();
  });
}
