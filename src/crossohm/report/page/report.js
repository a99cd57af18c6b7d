// What the report shows: results over the axes of the sweep, and layers, ADC inputs and hardware of one point.

const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7a7a7a"];
const part = (section, name) => document.querySelector(`#${section} .${name}`);
const colour = (index) => COLOURS[index % COLOURS.length];

// A mark is a shape as well as a colour.
function shape(index, x, y, size = 5) {
  const common = { fill: colour(index) }, kind = index % 3;
  if (kind === 0) return svg("circle", { ...common, cx: x, cy: y, r: size });
  if (kind === 1) return svg("rect", { ...common, x: x - size, y: y - size, width: 2 * size, height: 2 * size });
  return svg("path", { ...common, d: `M${x} ${y - size * 1.3}l${size * 1.3} ${size * 2.3}h${-size * 2.6}z` });
}

// -- results -----------------------------------------------------------------------------------------------------

const view = { measure: 0, x: 0, lines: data.axes.length > 1 ? 1 : -1, fixed: data.axes.map(() => 0), log: false, hidden: new Set() };
const APART = 7;
const measure = () => data.measures[view.measure];
const goesLog = (axis) => Boolean(axis && axis.values) && Math.min(...axis.values) > 0;

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

function chosenPoints() {
  const free = (index) => index === view.x || index === view.lines;
  return data.points.filter((point) => point.at.every((position, index) => free(index) || position === view.fixed[index]));
}

// Lines of the plot: name, and its points in the order of the axis.
function lines() {
  const axis = data.axes[view.x], points = chosenPoints();
  if (!axis) {
    const [only] = points;
    const chips = only.seeds.map((seed, index) => ({ at: index, values: [only.analog[measure().name][index]], point: only, name: `chip ${seed}` }));
    return [{ name: "chips", dots: chips }];
  }
  const along = (point) => axis.values ? axis.values[point.at[view.x]] : point.at[view.x];
  const dots = (members) => members
    .map((point) => ({ at: along(point), values: point.analog[measure().name], point, name: point.label }))
    .sort((a, b) => a.at - b.at);
  if (view.lines < 0) return [{ name: axis.name, dots: dots(points) }];
  const other = data.axes[view.lines];
  return other.labels.map((label, index) => ({
    name: `${other.name} = ${label}`, dots: dots(points.filter((point) => point.at[view.lines] === index)),
  }));
}

function results() {
  const axis = data.axes[view.x], { name, label, unit } = measure(), all = lines();
  const shown = all.map((line, index) => ({ ...line, index })).filter((line) => !view.hidden.has(line.name));
  const dots = shown.flatMap((line) => line.dots);
  const digital = [...new Set(dots.map((dot) => dot.point.digital[name]).filter(isNumber))];
  const withDigital = digital.length === 1 && !view.hidden.has("digital") ? digital : [];
  const heights = dots.flatMap((dot) => bars(statistics(dot.values))).concat(withDigital);
  const [low, high] = padded(heights.length ? heights : [0, 1], 0.08);
  const chart = axes(part("accuracy", "plot"), `${label}, ${axis ? `along ${axis.name}` : "of every chip"}`,
    xAxis(axis, all), { title: label + (unit && unit !== "%" ? ` (${unit})` : ""), low, high, format: (value) => unit === "%" ? `${plain(100 * value)} %` : plain(value) });
  for (const value of withDigital) {
    const at = chart.y(value);
    chart.root.append(svg("line", { x1: chart.left, x2: chart.right, y1: at, y2: at, class: "reference" }));
  }
  shown.forEach((line, place) => drawLine(chart, line, axis ? (place - (shown.length - 1) / 2) * APART : 0));
  walkable(chart.root);
  legend(all, digital);
  part("accuracy", "reading").textContent = extremes(dots, label, unit, digital);
}

const bars = ({ mean, std, finite }) => isNumber(mean) ? [...finite, mean - (std ?? 0), mean + (std ?? 0)] : finite;

function xAxis(axis, all) {
  if (!axis) return { title: "chip", labels: data.points[0].seeds.map(String) };
  if (!axis.values) return { title: axis.name, labels: axis.labels };
  const log = view.log && goesLog(axis), values = log ? axis.values.map(Math.log10) : axis.values;
  const [low, high] = padded(values, 0.04);
  return { title: axis.name, log, low: log ? 10 ** low : low, high: log ? 10 ** high : high };
}

// Lines are drawn side by side by `shift` pixels, so that equal values do not hide each other.
function drawLine(chart, line, shift) {
  const { name, unit } = measure(), axis = data.axes[view.x];
  const stroke = colour(line.index), found = line.dots.map((dot) => ({ ...dot, ...statistics(dot.values) }));
  const path = found.filter((dot) => isNumber(dot.mean)).map((dot) => `${chart.x(dot.at) + shift},${chart.y(dot.mean)}`);
  if (axis) chart.root.append(svg("polyline", { points: path.join(" "), fill: "none", stroke, "stroke-width": 2 }));
  for (const dot of found) {
    const x = chart.x(dot.at) + shift;
    if (dot.std !== null) {
      chart.root.append(svg("line", { x1: x, x2: x, y1: chart.y(dot.mean - dot.std), y2: chart.y(dot.mean + dot.std), stroke, "stroke-width": 2 }));
    }
    if (axis && !view.hidden.has("single chips")) {
      dot.finite.forEach((value) => chart.root.append(svg("circle", { cx: x, cy: chart.y(value), r: 2.5, fill: "none", stroke, opacity: 0.8 })));
    }
    if (isNumber(dot.mean)) chart.root.append(tip(shape(line.index, x, chart.y(dot.mean)), dotText(dot, name, unit)));
  }
}

function dotText(dot, name, unit) {
  const lines = [dot.name || "all chips", spreadText(dot, unit)];
  if (dot.values.length > 1) {
    lines.push(`${dot.values.length} chips, ${textOf(Math.min(...dot.finite), unit)} … ${textOf(Math.max(...dot.finite), unit)}`);
  }
  if (isNumber(dot.point.digital[name])) lines.push(`digital ${textOf(dot.point.digital[name], unit)}`);
  return lines.join("\n");
}

function legend(all, digital) {
  const entries = all.length > 1 ? all.map((line, index) => [line.name, index]) : [];
  if (data.axes.length && chosenPoints().some((point) => point.seeds.length > 1)) entries.push(["single chips", null]);
  if (digital.length === 1) entries.push(["digital", null]);
  const buttons = entries.map(([name, index]) => {
    const button = html("button", { type: "button", "aria-pressed": String(!view.hidden.has(name)), onclick: () => {
      view.hidden.has(name) ? view.hidden.delete(name) : view.hidden.add(name);
      results();
      [...part("accuracy", "legend").children].find((each) => each.dataset.name === name).focus();
    } });
    button.dataset.name = name;
    if (index !== null) button.append(svg("svg", { viewBox: "0 0 14 12", "aria-hidden": "true" }, shape(index, 7, 6, 4.5)));
    button.append(name);
    return button;
  });
  part("accuracy", "legend").replaceChildren(...buttons);
}

function extremes(dots, label, unit, digital) {
  const known = dots.map((dot) => ({ name: dot.name, ...statistics(dot.values) })).filter((dot) => isNumber(dot.mean));
  if (!known.length) return `${label}: nothing is shown.`;
  const sorted = known.sort((a, b) => a.mean - b.mean), low = sorted[0], high = sorted[sorted.length - 1];
  const reference = digital.length === 1 ? `; the digital network reaches ${textOf(digital[0], unit)}` : "";
  const place = (dot) => dot.name ? ` (${dot.name})` : "";
  if (low === high) return `${label}: ${spreadText(high, unit)}${place(high)}${reference}.`;
  return `${label}: from ${textOf(low.mean, unit)}${place(low)} to ${textOf(high.mean, unit)}${place(high)}${reference}.`;
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
  const point = data.points[state.point], hardware = hardwareOf(point);
  if (part("snr", "plot")) layerSnr(point);
  if (part("adc", "plot")) adcInputs(point, hardware);
  layerTable(point, hardware);
  parameters(hardware);
}

function pointControls() {
  if (data.points.length < 2) return;
  const named = data.points.map((point, index) => [index, point.label]);
  const field = choice("Layers, converters and hardware of the point", named, 0, (value) => { state.point = value; onePoint(); });
  document.getElementById("point").replaceChildren(field);
}

function layerSnr(point) {
  const names = Object.keys(point.snr), found = names.map((name) => statistics(point.snr[name]));
  const heights = found.flatMap(bars), [low, high] = padded(heights.length ? heights : [0, 1], 0.08);
  const chart = axes(part("snr", "plot"), "Signal-to-noise ratio of the outputs of every layer",
    { title: "layer", labels: names }, { title: "SNR (dB)", low, high, format: plain });
  found.forEach((each, index) => {
    if (!isNumber(each.mean)) return;
    const x = chart.x(index);
    if (each.std !== null) {
      chart.root.append(svg("line", { x1: x, x2: x, y1: chart.y(each.mean - each.std), y2: chart.y(each.mean + each.std), stroke: colour(0), "stroke-width": 2 }));
    }
    chart.root.append(tip(shape(0, x, chart.y(each.mean)), `${names[index]}\n${spreadText(each, "dB")}`));
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
    { title: "values", low: floor, high: Math.max(...seen.counts) * (state.log ? 2 : 1.05), log: state.log, format: plain });
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
const levels = (count) => count === null ? "continuous" : count.toLocaleString("en");
const counted = (value) => [value.toLocaleString("en"), value];
const COLUMNS = [
  ["layer", (layer) => [layer.layer]],
  ["kind", (layer) => [layer.kind]],
  ["matrix (outputs × inputs)", (layer) => [`${layer.outputs} × ${layer.inputs}`, layer.outputs * layer.inputs]],
  ["arrays", (layer) => counted(layer.arrays)],
  ["largest array (rows × columns)", (layer) => [`${layer.array_rows} × ${layer.array_columns}`, layer.array_rows * layer.array_columns]],
  ["cells", (layer) => counted(layer.devices)],
  ["array operations per image", (layer) => counted(layer.mvms)],
  ["cell levels", (layer) => [levels(layer.cell_levels), layer.cell_levels ?? Infinity]],
  ["input range", (layer) => [span(layer.input_range), layer.input_range?.[1] ?? Infinity]],
  ["DAC levels", (layer) => [levels(layer.dac_levels), layer.dac_levels ?? Infinity]],
  ["ADC levels", (layer) => [levels(layer.adc_levels), layer.adc_levels ?? Infinity]],
  ["ADC range per slice", (layer) => [layer.adc_ranges.map(span).join("; ") || "no ADC", layer.adc_ranges[0]?.[1] ?? Infinity]],
];

function layerTable(point, hardware) {
  const snr = Object.keys(point.snr).length > 0;
  const columns = snr ? [...COLUMNS, ["output SNR (dB)", (layer) => {
    const { mean } = statistics(point.snr[layer.layer] ?? [null]);
    return mean === null ? ["–", Infinity] : [textOf(mean), isNumber(mean) ? mean : Infinity];
  }]] : COLUMNS;
  const head = html("tr", {}, ...columns.map(([name]) => html("th", { scope: "col" }, name)));
  const rows = hardware.layers.map((layer) => html("tr", {}, ...columns.map(([, cell]) => {
    const [text, value] = cell(layer);
    return html("td", { "data-value": value }, text);
  })));
  const table = html("table", { id: "layers" }, html("caption", {}, point.label), html("thead", {}, head), html("tbody", {}, ...rows));
  sortable(table);
  part("hardware", "wide").replaceChildren(table);
  const total = (name) => hardware.layers.reduce((sum, layer) => sum + layer[name], 0).toLocaleString("en");
  part("hardware", "reading").textContent = `${total("arrays")} arrays with ${total("devices")} cells; ${total("mvms")} array operations per image.`;
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
