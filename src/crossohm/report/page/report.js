// What the report shows: results over the axes of the sweep, and layers, ADC inputs and hardware of one point.

const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7a7a7a"];
const SHAPES = 5;
const part = (section, name) => document.querySelector(`#${section} .${name}`);

// Lines of an axis of many numbers have colours in order, from blue to orange; others colours that differ.
function colour(index, axis) {
  const count = axis?.values ? axis.labels.length : 0;
  return count > 4 ? `hsl(${Math.round(235 + 155 * index / (count - 1)) % 360} 70% 50%)` : COLOURS[index % COLOURS.length];
}

// A mark is a shape as well as a colour, centred on its value.
function shape(index, x, y, size, fill) {
  const kind = index % SHAPES, high = size * 1.25;
  if (kind === 0) return svg("circle", { fill, cx: x, cy: y, r: size });
  if (kind === 1) return svg("rect", { fill, x: x - size, y: y - size, width: 2 * size, height: 2 * size });
  if (kind === 2) return svg("path", { fill, d: `M${x} ${y - high}l${high} ${2 * high}h${-2 * high}z` });
  if (kind === 3) return svg("path", { fill, d: `M${x} ${y - high}l${high} ${high}l${-high} ${high}l${-high} ${-high}z` });
  return svg("path", { fill, d: `M${x} ${y + high}l${high} ${-2 * high}h${-2 * high}z` });
}

// Mean and standard deviation come from the file: there is one owner of what they mean.
function spreadOf(point, kind, name) {
  const values = point[kind][name], [mean, std] = point.spread[kind][name];
  return { mean, std, values, finite: values.filter(isNumber) };
}

// -- results -----------------------------------------------------------------------------------------------------

const view = { measure: 0, x: 0, lines: data.axes.length > 1 ? 1 : -1, fixed: data.axes.map(() => 0), log: false, hidden: new Set() };
const measure = () => data.measures[view.measure];
const goesLog = (axis) => Boolean(axis && axis.values) && Math.min(...axis.values) > 0;
const isBudget = data.complete !== null;

function resultControls() {
  const fields = [];
  const again = (change) => { change(); resultControls(); results(); };
  if (data.measures.length > 1) {
    const named = data.measures.map((each, index) => [index, each.label]);
    fields.push(choice("Measure", named, view.measure, (value) => again(() => { view.measure = value; })));
  }
  const named = data.axes.map((axis, index) => [index, axis.name]);
  if (named.length > 1) {
    fields.push(choice("Along", named, view.x, (value) => again(() => {
      if (view.lines === value) view.lines = view.x;
      view.x = value;
    })));
    const others = [[-1, "one"], ...named.filter(([index]) => index !== view.x)];
    fields.push(choice("Lines", others, view.lines, (value) => again(() => { view.lines = value; view.hidden.clear(); })));
  }
  data.axes.forEach((axis, index) => {
    if (index === view.x || index === view.lines) return;
    const positions = axis.labels.map((label, position) => [position, label]);
    fields.push(choice(axis.name, positions, view.fixed[index], (value) => again(() => { view.fixed[index] = value; })));
  });
  if (goesLog(data.axes[view.x])) {
    fields.push(tick("logarithmic axis", view.log, (value) => again(() => { view.log = value; })));
  }
  part("accuracy", "controls").replaceChildren(...fields);
}

// What the plot holds fixed, in words: on paper nothing else tells it.
function heldText() {
  const held = data.axes.filter((_, index) => index !== view.x && index !== view.lines)
    .map((axis) => `${axis.name} = ${axis.labels[view.fixed[data.axes.indexOf(axis)]]}`);
  return held.length ? `Shown for ${held.join(", ")}.` : "";
}

function chosenPoints() {
  const free = (index) => index === view.x || index === view.lines;
  return data.points.filter((point) => measure().name in point.analog
    && point.at.every((position, index) => free(index) || position === view.fixed[index]));
}

// Lines of the plot: name, and its points in the order of the axis.
function lines() {
  const axis = data.axes[view.x], points = chosenPoints(), name = measure().name;
  if (!axis) {
    const chips = points.flatMap((only) => only.seeds.map((seed, index) => {
      const value = only.analog[name][index];
      return { at: seed, mean: value, std: null, values: [value], finite: [value].filter(isNumber), point: only, name: `chip ${seed}` };
    }));
    return [{ name: "chips", dots: chips }];
  }
  const along = (point) => axis.values ? axis.values[point.at[view.x]] : point.at[view.x];
  const dots = (members) => members
    .map((point) => ({ at: along(point), ...spreadOf(point, "analog", name), point, name: point.label }))
    .sort((a, b) => a.at - b.at);
  if (view.lines < 0) return [{ name: axis.name, dots: dots(points) }];
  const other = data.axes[view.lines];
  return other.labels.map((label, index) => ({
    name: `${other.name} = ${label}`, dots: dots(points.filter((point) => point.at[view.lines] === index)),
  }));
}

const titleOf = ({ label, unit }) => label + (unit && unit !== "%" ? ` (${unit})` : "");
const reach = ({ mean, std, finite }) => isNumber(mean) ? [...finite, mean - (std ?? 0), mean + (std ?? 0)] : finite;

function results() {
  const { name } = measure(), all = lines();
  const shown = all.map((line, index) => ({ ...line, index, count: all.length })).filter((line) => !view.hidden.has(line.name));
  const dots = shown.flatMap((line) => line.dots);
  const digital = [...new Set(dots.map((dot) => dot.point.digital[name]).filter(isNumber))];
  if (isBudget) losses(dots);
  else plot(shown, all, dots, digital.length === 1 && !view.hidden.has("digital") ? digital : []);
  legend(all, digital);
  part("accuracy", "held").textContent = heldText();
  part("accuracy", "reading").textContent = extremes(dots, measure(), digital);
}

// Positions of numbers are drawn over them; things with names get a row each.
function plot(shown, all, dots, reference) {
  const axis = data.axes[view.x], { unit } = measure(), holder = part("accuracy", "plot");
  const heights = dots.flatMap(reach).concat(reference), [low, high] = padded(heights.length ? heights : [0, 1], 0.08);
  const name = `${measure().label}, ${axis ? `along ${axis.name}` : "of every chip"}`;
  const scale = { title: titleOf(measure()), low, high };
  const named = axis && !axis.values;
  if (unit === "%") Object.assign(scale, { low: 100 * low, high: 100 * high, format: (_, text) => `${text} %`, within: [0, 100] });
  const chart = named ? rows(holder, name, axis.labels, { ...scale, title: scale.title + (unit === "%" ? " (%)" : "") }, Math.max(18, 6 * all.length + 6))
    : axes(holder, name, xAxis(axis, dots), scale);
  const worth = (value) => unit === "%" ? 100 * value : value;
  for (const value of reference) {
    const at = named ? chart.x(worth(value)) : chart.y(worth(value));
    const ends = named ? { x1: at, x2: at, y1: chart.top, y2: chart.bottom } : { x1: chart.left, x2: chart.right, y1: at, y2: at };
    chart.root.append(svg("line", { ...ends, class: "reference" }));
  }
  // A line of many has a place of its own within a row; on an axis of numbers every mark stands at its number.
  const place = named
    ? (line, dot, value) => [chart.x(worth(value)), chart.row(dot.at) + 6 * (line.index - (line.count - 1) / 2)]
    : (line, dot, value) => [chart.x(dot.at), chart.y(worth(value))];
  shown.forEach((line) => drawLine(chart.root, line, place, !axis || named));
  walkable(chart.root);
}

function xAxis(axis, dots) {
  if (!axis) {
    const seeds = dots.map((dot) => dot.at), [low, high] = padded(seeds.length ? seeds : [0, 1], 0.04);
    return { title: "chip", low, high, whole: true };
  }
  const log = view.log && goesLog(axis), values = log ? axis.values.map(Math.log10) : axis.values;
  const [low, high] = padded(values, 0.04);
  return { title: axis.name, log, low: log ? 10 ** low : low, high: log ? 10 ** high : high };
}

// Marks of later lines are smaller, so that equal values do not hide each other.
function drawLine(root, line, place, apart) {
  const { name, unit } = measure(), axis = data.axes[view.lines];
  const stroke = colour(line.index, axis), size = 6.5 - 3 * line.index / Math.max(1, line.count - 1);
  const at = (dot, value) => place(line, dot, value);
  const path = line.dots.filter((dot) => isNumber(dot.mean)).map((dot) => at(dot, dot.mean).join(","));
  if (!apart) root.append(svg("polyline", { points: path.join(" "), fill: "none", stroke, "stroke-width": 2 }));
  for (const dot of line.dots) {
    if (dot.std !== null && isNumber(dot.mean)) {
      const [[x1, y1], [x2, y2]] = [at(dot, dot.mean - dot.std), at(dot, dot.mean + dot.std)];
      root.append(svg("line", { x1, x2, y1, y2, stroke, "stroke-width": 2 }));
    }
    if (data.axes.length && !view.hidden.has("single chips")) {
      dot.finite.forEach((value) => {
        const [cx, cy] = at(dot, value);
        root.append(svg("circle", { cx, cy, r: 2.5, fill: "none", stroke, opacity: 0.8 }));
      });
    }
    if (isNumber(dot.mean)) root.append(tip(shape(line.index, ...at(dot, dot.mean), size, stroke), dotText(dot, name, unit)));
  }
}

// -- error budgets: what every variant of the hardware loses, the largest loss first ---------------------------------

function losses(dots) {
  const { name, unit, loss: words } = measure();
  const found = dots.map((dot) => ({ ...dot, loss: dot.point.loss[name] })).filter((dot) => isNumber(dot.loss)).sort((a, b) => b.loss - a.loss);
  const ends = [0, ...found.map((dot) => dot.loss)], low = Math.min(...ends), high = Math.max(...ends);
  const ordered = found.map((dot) => dot.name);
  if (!found.length) return part("accuracy", "plot").replaceChildren();
  const chart = rows(part("accuracy", "plot"), words, ordered, { title: words, low: low - (high - low) / 50, high: high === low ? low + 1 : high, margin: 60 }, 14);
  found.forEach((dot, index) => {
    const y = chart.row(index), zero = chart.x(0), end = chart.x(dot.loss);
    const bar = svg("rect", { class: "bar", x: Math.min(zero, end), y: y - 7, width: Math.max(1, Math.abs(end - zero)), height: 14 });
    chart.root.append(tip(bar, dotText(dot, name, unit)), svg("text", { x: Math.max(zero, end) + 4, y: y + 4, class: "tick" }, plain(Number(dot.loss.toPrecision(3)))));
  });
  walkable(chart.root);
}

// -- in words ----------------------------------------------------------------------------------------------------

function dotText(dot, name, unit) {
  const lines = [dot.name || "all chips", spreadText(dot, unit)];
  if (dot.finite.length > 1) {
    lines.push(`${dot.values.length} chips, ${textOf(Math.min(...dot.finite), unit)} … ${textOf(Math.max(...dot.finite), unit)}`);
  }
  if (isNumber(dot.point.digital[name])) lines.push(`digital ${textOf(dot.point.digital[name], unit)}`);
  lines.push(...(dot.point.notes[name] ?? []));
  return lines.join("\n");
}

function legend(all, digital) {
  const entries = all.length > 1 ? all.map((line, index) => [line.name, index]) : [];
  if (data.axes.length && !isBudget && chosenPoints().some((point) => point.seeds.length > 1)) entries.push(["single chips", null]);
  if (digital.length === 1 && !isBudget) entries.push(["digital", null]);
  const buttons = entries.map(([name, index]) => {
    const button = html("button", { type: "button", "aria-pressed": String(!view.hidden.has(name)), onclick: () => {
      view.hidden.has(name) ? view.hidden.delete(name) : view.hidden.add(name);
      results();
      [...part("accuracy", "legend").children].find((each) => each.dataset.name === name).focus();
    } });
    button.dataset.name = name;
    button.append(sample(name, index), name);
    return button;
  });
  part("accuracy", "legend").replaceChildren(...buttons);
}

// What an entry of the legend looks like in the plot.
function sample(name, index) {
  const drawn = index !== null ? shape(index, 9, 6, 4.5, colour(index, data.axes[view.lines]))
    : name === "digital" ? svg("line", { x1: 0, x2: 18, y1: 6, y2: 6, class: "dashes" })
    : svg("circle", { cx: 9, cy: 6, r: 2.5, class: "chip" });
  return svg("svg", { viewBox: "0 0 18 12", "aria-hidden": "true" }, drawn);
}

function extremes(dots, { label, unit, higher_is_better: higher }, digital) {
  const known = dots.filter((dot) => isNumber(dot.mean));
  if (!known.length) return `${label}: nothing is shown.`;
  const sorted = [...known].sort((a, b) => higher ? a.mean - b.mean : b.mean - a.mean), worst = sorted[0], best = sorted[sorted.length - 1];
  const reference = digital.length === 1 ? `; the digital network reaches ${textOf(digital[0], unit)}` : "";
  const place = (dot) => dot.name ? ` (${dot.name})` : "";
  if (worst === best) return `${label}: ${spreadText(best, unit)}${place(best)}${reference}.`;
  return `${label}: worst ${textOf(worst.mean, unit)}${place(worst)}, best ${textOf(best.mean, unit)}${place(best)}${reference}.`;
}

// -- one point ---------------------------------------------------------------------------------------------------

const state = { point: 0, layer: 0, slice: 0, log: true };

function hardwareOf(point) {
  const found = structuredClone(data.hardware);
  for (const [path, ...value] of data.changes[point.hardware]) {
    const last = path[path.length - 1];
    const place = path.slice(0, -1).reduce((tree, key) => tree[key], found);
    if (value.length) place[last] = value[0];
    else delete place[last];
  }
  return found;
}

function onePoint() {
  const point = data.points[state.point];
  if (point.hardware === null) return;
  const hardware = hardwareOf(point);
  if (part("snr", "plot")) layerSnr(point);
  if (part("adc", "plot")) adcInputs(point, hardware);
  layerTable(point, hardware);
  parameters(hardware);
}

function pointControls() {
  const named = data.points.map((point, index) => [index, point.label]).filter(([index]) => data.points[index].hardware !== null);
  state.point = named[0][0];
  if (data.points.length < 2) return;
  const field = choice("Layers, converters and hardware of the point", named, state.point, (value) => { state.point = value; onePoint(); });
  document.getElementById("point").replaceChildren(field);
}

function layerSnr(point) {
  const names = Object.keys(point.snr), found = names.map((name) => spreadOf(point, "snr", name));
  if (!names.length) {
    part("snr", "plot").replaceChildren();
    part("snr", "reading").textContent = "Nothing was kept for this point.";
    return;
  }
  const heights = found.flatMap(reach), [low, high] = padded(heights.length ? heights : [0, 1], 0.08);
  const chart = rows(part("snr", "plot"), "Signal-to-noise ratio of the outputs of every layer", names, { title: "SNR (dB)", low, high }, 14);
  found.forEach((each, index) => {
    if (!isNumber(each.mean)) return;
    const y = chart.row(index), x = chart.x(each.mean);
    if (each.std !== null) {
      chart.root.append(svg("line", { x1: chart.x(each.mean - each.std), x2: chart.x(each.mean + each.std), y1: y, y2: y, stroke: COLOURS[0], "stroke-width": 2 }));
    }
    chart.root.append(tip(shape(0, x, y, 5, COLOURS[0]), `${names[index]}\n${spreadText(each, "dB")}`));
  });
  walkable(chart.root);
  const worst = found.reduce((at, each, index) => isNumber(each.mean) && !(found[at]?.mean <= each.mean) ? index : at, -1);
  part("snr", "reading").textContent = worst < 0 ? "No layer shows an error." : `Lowest in ${names[worst]}: ${spreadText(found[worst], "dB")}.`;
}

function adcInputs(point, hardware) {
  const names = Object.keys(point.adc);
  state.layer = Math.min(state.layer, Math.max(0, names.length - 1));
  const slices = point.adc[names[state.layer]] ?? [];
  state.slice = Math.min(state.slice, Math.max(0, slices.length - 1));
  const again = (change) => { change(); adcInputs(point, hardware); };
  const fields = [choice("Layer", names.map((name, index) => [index, name]), state.layer, (value) => again(() => { state.layer = value; }))];
  if (slices.length > 1) {
    fields.push(choice("Weight slice", slices.map((_, index) => [index, `${index}${index ? "" : " (least significant)"}`]), state.slice, (value) => again(() => { state.slice = value; })));
  }
  fields.push(tick("logarithmic counts", state.log, (value) => again(() => { state.log = value; })));
  part("adc", "controls").replaceChildren(...fields);
  const seen = slices[state.slice];
  if (!seen || !seen.counts.length) {
    part("adc", "plot").replaceChildren();
    part("adc", "reading").textContent = "No ADC inputs were kept for this point.";
    return;
  }
  const layer = hardware.layers.find((each) => each.layer === names[state.layer]);
  histogram(seen, names[state.layer], layer?.adc_ranges[state.slice]);
}

function histogram(seen, name, range) {
  const [first, last] = seen.edges, step = (last - first) / seen.counts.length, floor = state.log ? 0.5 : 0;
  const [low, high] = padded([first, last, ...(range ?? [])], 0.02);
  const chart = axes(part("adc", "plot"), `ADC inputs of ${name}`,
    { title: "current (of one cell at full conductance and input)", low, high },
    { title: "values", low: floor, high: Math.max(...seen.counts) * (state.log ? 2 : 1.05), log: state.log });
  seen.counts.forEach((count, index) => {
    if (!count) return;
    const from = first + index * step, x = chart.x(from), y = chart.y(count), width = chart.x(from + step) - x;
    const bar = svg("rect", { class: "bar", x, y, width: width > 5 ? width - 0.5 : width, height: Math.max(0, chart.bottom - y) });
    chart.root.append(tip(bar, `${plain(from)} … ${plain(from + step)}\n${count.toLocaleString("en")} values`));
  });
  for (const limit of range ?? []) {
    const x = chart.x(limit);
    chart.root.append(svg("line", { x1: x, x2: x, y1: chart.top, y2: chart.bottom, class: "range" }));
  }
  walkable(chart.root);
  const seenText = `${name}: currents from ${plain(seen.low)} to ${plain(seen.high)}`;
  part("adc", "reading").textContent = range ? `${seenText}; the ADC converts ${plain(range[0])} to ${plain(range[1])}.` : `${seenText}; there is no ADC.`;
}

// -- hardware ----------------------------------------------------------------------------------------------------

const span = (range) => range ? `${plain(range[0])} … ${plain(range[1])}` : "per vector";
const levels = (count, otherwise) => count === null ? otherwise ?? "not stated" : count.toLocaleString("en");
const counted = (value) => [value.toLocaleString("en"), value];
const COLUMNS = [
  ["layer", (layer) => [layer.layer]],
  ["kind", (layer) => [layer.kind]],
  ["matrix (outputs × inputs)", (layer) => [`${layer.outputs} × ${layer.inputs}`, layer.outputs * layer.inputs]],
  ["arrays", (layer) => counted(layer.arrays)],
  ["largest array (rows × columns)", (layer) => [`${layer.array_rows} × ${layer.array_columns}`, layer.array_rows * layer.array_columns]],
  ["cells", (layer) => counted(layer.devices)],
  ["array operations per input", (layer) => counted(layer.mvms)],
  ["cell levels", (layer) => [levels(layer.cell_levels, "continuous"), layer.cell_levels ?? Infinity]],
  ["input range", (layer) => [span(layer.input_range), layer.input_range?.[1] ?? Infinity]],
  ["DAC levels", (layer) => [levels(layer.dac_levels, layer.dac), layer.dac_levels ?? Infinity]],
  ["ADC levels", (layer) => [levels(layer.adc_levels, layer.adc), layer.adc_levels ?? Infinity]],
  ["ADC range per slice", (layer) => [layer.adc_ranges.map(span).join("; ") || "no ADC", layer.adc_ranges[0]?.[1] ?? Infinity, "ranges"]],
];

function layerTable(point, hardware) {
  const snr = Object.keys(point.snr).length > 0;
  const columns = snr ? [...COLUMNS, ["output SNR (dB)", (layer) => {
    const mean = point.spread.snr[layer.layer]?.[0] ?? null;
    return mean === null ? ["–", Infinity] : [textOf(mean), isNumber(mean) ? mean : Infinity];
  }]] : COLUMNS;
  const head = html("tr", {}, ...columns.map(([name]) => html("th", { scope: "col" }, name)));
  const rows = hardware.layers.map((layer) => html("tr", {}, ...columns.map(([, cell]) => {
    const [text, value, kind] = cell(layer);
    const pieces = text.split(/(?<=; )/).map((piece) => html("span", { class: "span" }, piece));
    return html("td", { "data-value": value, class: kind }, ...pieces);
  })));
  const table = html("table", { id: "layers" }, html("caption", {}, point.label), html("thead", {}, head), html("tbody", {}, ...rows));
  sortable(table);
  part("hardware", "wide").replaceChildren(table);
  const total = (name) => hardware.layers.reduce((sum, layer) => sum + layer[name], 0).toLocaleString("en");
  part("hardware", "reading").textContent = `${total("arrays")} arrays with ${total("devices")} cells; ${total("mvms")} array operations per input.`;
}

function parameters(hardware) {
  const search = html("input", { type: "search", oninput: () => filter() });
  const rows = (layer, values) => Object.entries(values).map(([path, value]) =>
    html("tr", {}, html("td", {}, layer), html("td", {}, path), html("td", {}, JSON.stringify(value))));
  const body = html("tbody", {}, ...rows("all", hardware.settings), ...Object.entries(hardware.exceptions).flatMap(([layer, values]) => rows(layer, values)));
  const head = html("tr", {}, ...["layer", "parameter", "value"].map((name) => html("th", { scope: "col" }, name)));
  const table = html("table", {}, html("thead", {}, head), body);
  const filter = () => [...body.rows].forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(search.value.toLowerCase()); });
  sortable(table);
  part("parameters", "controls").replaceChildren(html("label", { class: "field" }, "Find a parameter", search));
  part("parameters", "wide").replaceChildren(table);
}

document.querySelectorAll("table.sortable").forEach(sortable);
resultControls();
results();
pointControls();
onePoint();
keepDrawn(() => { results(); onePoint(); });
