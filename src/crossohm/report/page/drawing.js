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
const plain = (value) => String(Number(value.toPrecision(4))).replace("-", "−");

function textOf(value, unit = "") {
  if (value === "inf") return "∞" + (unit && ` ${unit}`);
  if (value === "-inf") return "−∞" + (unit && ` ${unit}`);
  if (!isNumber(value)) return "undefined";
  return unit === "%" ? `${(100 * value).toFixed(2)} %` : plain(value) + (unit && ` ${unit}`);
}

function statistics(values) {
  const finite = values.filter(isNumber);
  if (finite.length < values.length) return { mean: values.find((value) => !isNumber(value)), std: null, finite };
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const squares = finite.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: finite.length > 1 ? Math.sqrt(squares / (finite.length - 1)) : null, finite };
}

const spreadText = ({ mean, std }, unit) => textOf(mean, unit) + (std === null ? "" : ` ± ${textOf(std, unit)}`);

// -- scales ------------------------------------------------------------------------------------------------------

function linear(low, high, from, to) {
  if (low === high) { low -= Math.abs(low) / 20 || 1; high += Math.abs(high) / 20 || 1; }
  const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  return { map: (value) => from + (to - from) * (value - low) / (high - low), ticks };
}

function logarithmic(low, high, from, to) {
  if (low === high) { low /= 2; high *= 2; }
  const a = Math.log10(low), b = Math.log10(high), ticks = [];
  const factors = b - a > 3 ? [1] : [1, 2, 5];
  for (let n = Math.floor(a); n <= b; n++) ticks.push(...factors.map((factor) => factor * 10 ** n));
  const map = (value) => from + (to - from) * (Math.log10(value) - a) / (b - a);
  return { map, ticks: ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001) };
}

function padded(values, share) {
  const low = Math.min(...values), high = Math.max(...values);
  return [low - (high - low) * share, high + (high - low) * share];
}

// -- charts ------------------------------------------------------------------------------------------------------

const WIDTH = 760, HEIGHT = 360, LEFT = 70, RIGHT = 14, TOP = 14;

// Axes of a chart: x has `labels` (categories) or `low`, `high`, `log`; y has `low`, `high`, `log`; both have `title`.
function axes(holder, name, x, y) {
  const slanted = x.labels && (x.labels.length > 8 || x.labels.join("").length > 90);
  const height = HEIGHT + (slanted ? 60 : 0), bottom = height - (slanted ? 112 : 52);
  const right = WIDTH - RIGHT;
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "group", "aria-label": name });
  const up = (y.log ? logarithmic : linear)(y.low, y.high, bottom, TOP);
  for (const tick of up.ticks) {
    const at = up.map(tick);
    root.append(svg("line", { x1: LEFT, x2: right, y1: at, y2: at, class: "grid" }),
      svg("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end", class: "tick" }, y.format(tick)));
  }
  const across = x.labels ? bands(x.labels.length, right) : (x.log ? logarithmic : linear)(x.low, x.high, LEFT, right);
  const ticks = x.labels ? x.labels.map((label, at) => [at, label]) : across.ticks.map((tick) => [tick, plain(tick)]);
  for (const [tick, label] of ticks) {
    const at = across.map(tick), turn = slanted ? `rotate(-45 ${at} ${bottom + 18})` : undefined;
    const shown = label.length > 24 ? `${label.slice(0, 23)}…` : label;
    root.append(svg("line", { x1: at, x2: at, y1: bottom, y2: bottom + 5, class: "grid" }),
      svg("text", { x: at, y: bottom + 18, "text-anchor": slanted ? "end" : "middle", transform: turn, class: "tick" }, shown));
  }
  root.append(svg("line", { x1: LEFT, x2: right, y1: bottom, y2: bottom, class: "grid" }),
    svg("text", { x: (LEFT + right) / 2, y: height - 8, "text-anchor": "middle" }, x.title),
    svg("text", { x: -(TOP + bottom) / 2, y: 16, transform: "rotate(-90)", "text-anchor": "middle" }, y.title));
  holder.replaceChildren(root);
  return { root, x: across.map, y: up.map, left: LEFT, right, top: TOP, bottom };
}

function bands(count, right) {
  return { map: (index) => LEFT + (right - LEFT) * (index + 0.5) / count };
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
    const button = html("button", { type: "button", onclick: () => sort(table, heads, column) }, head.textContent);
    head.setAttribute("aria-sort", "none");
    head.replaceChildren(button);
  });
}

function sort(table, heads, column) {
  const down = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head, index) => head.setAttribute("aria-sort", index !== column ? "none" : down ? "descending" : "ascending"));
  const key = (row) => {
    const cell = row.cells[column], value = Number(cell.dataset.value ?? cell.textContent.replace(/,/g, ""));
    return Number.isNaN(value) ? cell.textContent : value;
  };
  const order = (a, b) => isNumber(a) && isNumber(b) ? a - b : String(a).localeCompare(String(b));
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => order(key(a), key(b)) * (down ? -1 : 1)));
}
