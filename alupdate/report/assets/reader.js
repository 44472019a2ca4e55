// What a reader can do with a chart: choose, hide lines, read values by pointer or keyboard.

const NARROW = window.matchMedia("(max-width: 700px)");

function html(name, text, attributes = {}) {
  const node = document.createElement(name);
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// A short stretch of a line, as in a legend.
function sample(series) {
  const node = svg("svg", { class: "sample", viewBox: "0 0 34 12", "aria-hidden": "true" });
  node.append(stroke(series, "M1 6H33"), marker(series, 17, 6));
  return node;
}

class ChartReader {
  constructor(article, chart) {
    this.chart = chart;
    this.hidden = new Set();
    this.at = null;
    const find = (query) => article.querySelector(query);
    this.choices = [...article.querySelectorAll(".choice")];
    [this.metricChoice, this.viewChoice] = [find(".metric"), find(".view")];
    [this.plot, this.svg, this.reading] = [find(".plot"), find(".plot svg"), find(".reading")];
    [this.legend, this.values] = [find(".legend"), find(".values")];
    this.yLabel = html("p", "", { class: "y-label" });
    this.plot.before(this.yLabel);
    find(".controls").addEventListener("change", () => this.choose());
    this.values.addEventListener("toggle", () => this.tabulate());
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerdown", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.leave());
    this.plot.addEventListener("blur", () => this.leave());
    this.plot.addEventListener("keydown", (event) => this.step(event));
    this.choose();
    new ResizeObserver(() => this.plot.clientWidth !== this.width && this.redraw()).observe(this.plot);
  }

  get metric() {
    return this.chart.metrics.find((metric) => metric.key === this.metricChoice.value);
  }

  get isDifference() {
    return this.viewChoice?.value === "difference";
  }

  // After a choice: what is there, is offered; what is not, is not.
  choose() {
    const panel = this.chart.panels[this.choices.map((choice) => choice.value).join("|")] ?? {};
    offer(this.metricChoice, (key) => key in panel);
    const views = panel[this.metricChoice.value] ?? {};
    if (this.viewChoice) offer(this.viewChoice, (key) => views[key]?.length);
    this.lines = (views[this.isDifference ? "difference" : "value"] ?? []).map(unpacked);
    const present = Object.values(panel).flatMap((found) => found.value ?? []);
    this.list([...new Set(present.map((line) => line.series))].sort((a, b) => a - b));
    this.redraw();
  }

  list(places) {
    const all = html("button", "", { type: "button", class: "all" });
    all.addEventListener("click", () => this.toggle(places, places.some((place) => this.hidden.has(place))));
    this.all = places.length > 2 ? all : null;
    const buttons = places.map((place) => this.entry(place));
    this.legend.replaceChildren(...buttons, ...(this.all ? [all] : []));
    this.press();
  }

  entry(place) {
    const series = this.chart.series[place];
    const button = coloured(html("button", "", { type: "button", "data-series": place }), series);
    button.append(sample(series), html("span", series.name));
    button.addEventListener("click", () => this.toggle([place], this.hidden.has(place)));
    for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => this.pick(place));
    for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => this.pick(null));
    return button;
  }

  toggle(places, isShown) {
    for (const place of places) isShown ? this.hidden.delete(place) : this.hidden.add(place);
    this.press();
    this.redraw();
  }

  press() {
    const buttons = [...this.legend.querySelectorAll("[data-series]")];
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(!this.hidden.has(Number(button.dataset.series))));
    }
    const isAnyHidden = buttons.some((button) => button.getAttribute("aria-pressed") === "false");
    if (this.all) this.all.textContent = isAnyHidden ? "show all" : "hide all";
  }

  pick(place) {
    this.svg.classList.toggle("picked", place !== null && !this.hidden.has(place));
    for (const node of this.svg.querySelectorAll(".series")) {
      node.classList.toggle("on", Number(node.dataset.series) === place);
    }
  }

  redraw() {
    const { label, hint, median } = this.metric;
    const difference = `difference in ${label} to ${this.chart.referenceName}, paired by seed`;
    this.yLabel.textContent = (this.isDifference ? difference : label) + (hint ? ` (${hint})` : "");
    this.visible = this.lines.filter((line) => !this.hidden.has(line.series));
    const { xLabel, xLog } = this.chart;
    this.width = this.plot.clientWidth;
    const width = Math.max(280, this.width);
    this.drawn = draw(this.svg, this.visible, this.chart.series, { width, xLabel, xLog, yLog: median });
    this.pick(null);
    this.leave();
    this.tabulate();
  }

  leave() {
    this.at = null;
    this.drawn?.cursor.replaceChildren();
    this.approach(null);
    this.reading.hidden = true;
    // On a small screen the values have a place of their own: the last ones, until a touch.
    if (NARROW.matches && this.drawn) this.read(this.drawn.xs.at(-1), null);
  }

  point(event) {
    if (!this.drawn || !this.svg.contains(event.target)) return;
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const distance = (value) => Math.abs(this.drawn.x.pixel(value) - x);
    this.read(this.drawn.xs.reduce((a, b) => (distance(b) < distance(a) ? b : a)), y);
  }

  step(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.leave();
    if (!move || !this.drawn) return;
    event.preventDefault();
    const { xs } = this.drawn;
    const now = this.at === null ? (move > 0 ? -1 : xs.length) : xs.indexOf(this.at);
    this.read(xs[Math.min(xs.length - 1, Math.max(0, now + move))], null);
  }

  // Shows the values of all visible lines at one place, the highest first.
  read(at, pointerY) {
    this.at = at;
    mark(this.drawn, this.visible, this.chart.series, at);
    const points = this.visible
      .map((line) => ({ line, i: line.x.indexOf(at) }))
      .filter(({ i }) => i >= 0)
      .sort((a, b) => b.line.y[b.i] - a.line.y[a.i]);
    const distance = ({ line, i }) => Math.abs(this.drawn.y.pixel(line.y[i]) - pointerY);
    const nearest = pointerY === null ? null : points.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    const table = html("table", "");
    table.append(html("caption", `${this.chart.xLabel}: ${at}`));
    for (const point of points) table.append(this.row(point, point === nearest));
    this.approach(nearest?.line.series ?? null);
    this.reading.replaceChildren(table);
    this.reading.hidden = false;
    const isLeft = this.drawn.x.pixel(at) > this.svg.clientWidth / 2;
    this.reading.style.left = isLeft ? `${MARGIN.left + 8}px` : "auto";
    this.reading.style.right = isLeft ? "auto" : `${MARGIN.right + 8}px`;
  }

  row({ line, i }, isNearest) {
    const series = this.chart.series[line.series];
    const row = html("tr", "", isNearest ? { class: "nearest" } : {});
    const name = html("th", series.name.replaceAll("_", "_\u200b"), { scope: "row" });
    row.append(html("td", ""), name, html("td", this.text(line, i)), html("td", `n = ${line.n[i]}`));
    row.firstChild.append(coloured(sample(series), series));
    return row;
  }

  approach(place) {
    for (const node of this.svg.querySelectorAll("[data-series]")) {
      node.classList.toggle("near", Number(node.dataset.series) === place);
    }
  }

  // Mean ± standard error, or median (quartiles).
  text(line, i) {
    if (this.metric.median) {
      const [y, low, high] = [line.y, line.low, line.high].map((values) => Number(values[i].toPrecision(3)));
      return line.n[i] > 1 ? `${y} (${low} to ${high})` : String(y);
    }
    const decimals = Math.min(5, Math.max(0, 2 - Math.floor(Math.log10(this.drawn?.y.span ?? 1))));
    const number = (value) => value.toFixed(decimals).replace("-", "−");
    const error = line.n[i] > 1 ? ` ± ${number(line.high[i] - line.y[i])}` : "";
    return number(line.y[i]) + error;
  }

  tabulate() {
    const place = this.values.querySelector(".scroll");
    if (!this.values.open || !this.drawn) {
      place.replaceChildren();
      return;
    }
    const table = html("table", "");
    table.append(html("caption", `${this.yLabel.textContent}, by ${this.chart.xLabel}`));
    const head = table.createTHead().insertRow();
    head.append(html("th", this.chart.xLabel, { scope: "col" }));
    for (const { series } of this.visible) head.append(html("th", this.chart.series[series].name, { scope: "col" }));
    const body = table.createTBody();
    for (const at of this.drawn.xs) {
      const row = body.insertRow();
      row.append(html("th", String(at), { scope: "row" }));
      for (const line of this.visible) {
        const i = line.x.indexOf(at);
        row.append(html("td", i < 0 ? "" : this.text(line, i)));
      }
    }
    place.replaceChildren(table);
  }
}

// A line with its band and a number of seeds at every point, however short it was sent.
function unpacked(line) {
  const { y, error = [] } = line;
  const { low = y.map((value, i) => value - error[i]), high = y.map((value, i) => value + error[i]) } = line;
  return { ...line, low, high, n: Array.isArray(line.n) ? line.n : y.map(() => line.n) };
}

// Disables options that mean nothing now; where the chosen one is among them, takes the first.
function offer(select, isThere) {
  for (const option of select.options) option.disabled = !isThere(option.value);
  if (select.selectedOptions[0]?.disabled) {
    select.value = [...select.options].find((option) => !option.disabled)?.value ?? select.value;
  }
}

for (const chart of JSON.parse(document.getElementById("charts-data").textContent)) {
  new ChartReader(document.getElementById(chart.key), chart);
}
