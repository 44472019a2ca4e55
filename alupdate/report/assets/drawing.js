"use strict";
// Drawing a chart as SVG: scales, axes, lines and bands. Knows nothing of the page around it.

const MARGIN = { left: 52, right: 14, top: 8, bottom: 40 };
const CROWD = 10;

function svg(name, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// A node that takes the colour of a series, in light and in dark mode.
function coloured(node, series) {
  node.classList.add("series");
  node.style.setProperty("--light", series.light);
  node.style.setProperty("--dark", series.dark);
  return node;
}

// Points around a circle of radius 1, the first at the top; every second one at `inner`.
function around(count, turn = 0, inner = 1) {
  return Array.from({ length: count }, (_, i) => {
    const angle = (2 * Math.PI * (i + turn)) / count;
    const radius = i % 2 ? inner : 1;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

const PLUS = [[-0.35, -1], [0.35, -1], [0.35, -0.35], [1, -0.35], [1, 0.35], [0.35, 0.35], [0.35, 1], [-0.35, 1], [-0.35, 0.35], [-1, 0.35], [-1, -0.35], [-0.35, -0.35]];
const CROSS = PLUS.map(([x, y]) => [0.75 * (x - y), 0.75 * (x + y)]);

// The markers of the figures, by matplotlib's names.
const MARKERS = {
  o: around(24), ".": around(24).map(([x, y]) => [x / 2, y / 2]),
  s: around(4, 0.5), D: around(4), d: around(4).map(([x, y]) => [0.6 * x, y]),
  "^": around(3), v: around(3, 1.5), "<": around(3, 2.25), ">": around(3, 0.75),
  p: around(5), h: around(6), "*": around(10, 0, 0.45),
  star4: around(8, 0, 0.5), star6: around(12, 0, 0.5),
  P: PLUS, X: CROSS, x: CROSS.map(([x, y]) => [0.8 * x, 0.8 * y]),
};
const MARKER_SIZE = 4.5;
const MARKS = 6;

function marker(series, x, y) {
  const points = (MARKERS[series.marker] ?? MARKERS.o).map((point) => point.map((p) => (MARKER_SIZE * p).toFixed(1)));
  const kind = series.hollow ? "marker hollow" : "marker";
  return svg("polygon", { class: kind, points: points.join(" "), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
}

function stroke(series, d) {
  return svg("path", { class: "line", d, "stroke-dasharray": series.dash });
}

// From values to pixels; `ticks` are the values to label.
function scale(low, high, from, to, isLog, count) {
  if (low === high) [low, high] = isLog ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const place = isLog ? Math.log10 : (value) => value;
  const [first, last] = [place(low), place(high)];
  const pixel = (value) => from + ((place(value) - first) / (last - first)) * (to - from);
  return { pixel, ticks: isLog ? logTicks(low, high) : linearTicks(low, high, count), span: high - low };
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
    ticks.push({ value: i * step, text: (i * step).toFixed(decimals).replace("-", "−") });
  }
  return ticks;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const factors = decades > 4 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(1));
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push({ value, text: String(value) });
    }
  }
  return ticks;
}

// What the vertical axis spans: all bands with a little room. Where some lines are anchors, others
// may leave the frame, so that one bad line does not flatten the rest.
function extent(lines, allSeries, isLog) {
  const low = Math.min(...lines.flatMap((line) => line.low));
  const high = Math.max(...lines.flatMap((line) => line.high));
  if (isLog) return [low / 1.15, high * 1.15];
  const room = 0.04 * (high - low) || 0.01;
  const anchors = lines.filter((line) => allSeries[line.series].anchor);
  if (anchors.length < 2) return [low - room, high + room];
  const [least, most] = [Math.min(...anchors.flatMap((line) => line.low)), Math.max(...anchors.flatMap((line) => line.high))];
  const span = most - least || 0.01;
  return [Math.max(low - room, least - 0.5 * span), Math.min(high + room, most + 0.5 * span)];
}

function path(xs, ys) {
  return xs.map((x, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${ys[i].toFixed(1)}`).join("");
}

function axes(x, y, width, height, xLabel) {
  const group = svg("g");
  const bottom = height - MARGIN.bottom;
  for (const { value, text } of y.ticks) {
    const at = y.pixel(value);
    const kind = value === 0 ? "zero" : "grid";
    group.append(svg("line", { class: kind, x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }));
    group.append(label(text, MARGIN.left - 8, at + 4, "end"));
  }
  for (const { value, text } of x.ticks) {
    const at = x.pixel(value);
    group.append(svg("line", { class: "grid", x1: at, x2: at, y1: bottom, y2: bottom + 5 }));
    group.append(label(text, at, bottom + 18, "middle"));
  }
  const title = label(xLabel, (MARGIN.left + width - MARGIN.right) / 2, height - 4, "middle");
  title.setAttribute("class", "axis-label");
  group.append(title);
  return group;
}

function label(text, x, y, anchor) {
  const node = svg("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}

// Draws lines ({series, x, y, low, high}) and returns the scales, or null where there are none.
function draw(node, lines, allSeries, { width, xLabel, xLog, yLog }) {
  const height = Math.round(Math.min(460, Math.max(260, width * 0.55)));
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  node.replaceChildren();
  node.classList.toggle("crowded", lines.length > CROWD);
  if (!lines.length) {
    node.append(label("nothing to show", width / 2, height / 2, "middle"));
    return null;
  }
  const places = lines.flatMap((line) => line.x);
  const right = width - MARGIN.right;
  const x = scale(Math.min(...places), Math.max(...places), MARGIN.left, right, xLog, width / 110);
  const y = scale(...extent(lines, allSeries, yLog), height - MARGIN.bottom, MARGIN.top, yLog, 6);
  node.append(axes(x, y, width, height, xLabel));
  const frame = svg("clipPath", { id: `${node.id}-frame` });
  frame.append(svg("rect", { x: MARGIN.left - 5, y: 0, width: width - MARGIN.left, height: height - MARGIN.bottom + 3 }));
  const within = { "clip-path": `url(#${node.id}-frame)` };
  const [bands, curves, cursor] = [svg("g", within), svg("g", within), svg("g", within)];
  lines.forEach((line, place) => {
    const series = allSeries[line.series];
    const [xs, ys] = [line.x.map(x.pixel), line.y.map(y.pixel)];
    const edge = path(xs.concat([...xs].reverse()), line.high.concat([...line.low].reverse()).map(y.pixel));
    const band = coloured(svg("g", { "data-series": line.series }), series);
    band.append(svg("path", { class: "band", d: `${edge}Z` }));
    bands.append(band);
    const curve = coloured(svg("g", { "data-series": line.series }), series);
    curve.append(stroke(series, path(xs, ys)));
    const step = Math.max(1, Math.floor(xs.length / MARKS));
    for (let i = place % step; i < xs.length; i += step) curve.append(marker(series, xs[i], ys[i]));
    curves.append(curve);
  });
  node.append(frame, bands, curves, cursor);
  return { x, y, cursor, height, xs: [...new Set(places)].sort((a, b) => a - b) };
}

// Marks one place on the horizontal axis, with a marker on every line.
function mark(drawn, lines, allSeries, at) {
  const pixel = drawn.x.pixel(at);
  const bottom = drawn.height - MARGIN.bottom;
  drawn.cursor.replaceChildren(svg("line", { class: "cursor", x1: pixel, x2: pixel, y1: MARGIN.top, y2: bottom }));
  for (const line of lines) {
    const i = line.x.indexOf(at);
    if (i < 0) continue;
    const series = allSeries[line.series];
    drawn.cursor.append(coloured(svg("g"), series));
    drawn.cursor.lastChild.append(marker(series, pixel, drawn.y.pixel(line.y[i])));
  }
}
