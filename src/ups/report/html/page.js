// What the whole page shares: its data, elements, numbers, the look of rows and which of them are shown.

const report = JSON.parse(document.getElementById("payload").textContent);

// Names of axes. Data sets state no units, so those of time and fields are theirs.
const LEAD = "lead time (time units of the data)";
const FIELD_UNITS = "units of the fields";

function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Three significant digits, 1.2×10⁻⁵ for the very small and large.
function format(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${Number(mantissa)}×10${raised(Number(exponent))}`.replace("-", "−");
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

function raised(exponent) {
  return String(exponent).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
}

// Rows of one family (the name before @ or a bracket) share a colour and differ in dashes; baselines are grey.
const DASHES = ["", "8 4", "2 4", "10 4 2 4", "1 6"];

function rowStyles(rows) {
  const families = new Map();
  const family = (row) => (row.model ? row.name.split(/[@ (]/)[0] : "");
  for (const row of rows) families.set(family(row), [...(families.get(family(row)) ?? []), row.name]);
  const coloured = [...families.keys()].filter((name) => name);
  const styles = new Map();
  for (const [name, members] of families) {
    const colour = name ? `var(--c${coloured.indexOf(name) % 6})` : "var(--base)";
    const ordered = name ? [...members].sort((a, b) => (b === name) - (a === name)) : [...members];
    ordered.forEach((member, i) => styles.set(member, { colour, dash: DASHES[(name ? i : i + 1) % DASHES.length] }));
  }
  return styles;
}

const styles = rowStyles(report.rows);
const hidden = new Set();
const listeners = new Set();

function toggleRows(names, show) {
  for (const name of names) show ? hidden.delete(name) : hidden.add(name);
  for (const listener of listeners) listener();
}

function swatch({ colour, dash, width = 2.5, opacity = 1 }) {
  const line = shape("line", { x1: 1, x2: 21, y1: 4, y2: 4, "stroke-dasharray": dash, "stroke-width": width });
  line.style.cssText = `stroke: ${colour}; opacity: ${opacity}`;
  return shape("svg", { class: "swatch", viewBox: "0 0 22 8", "aria-hidden": "true" }, line);
}

// Buttons that show and hide rows everywhere on the page.
function rowLegend(rows) {
  const names = rows.map((row) => row.name);
  const chips = names.map((name) =>
    element("button", { class: "chip", onclick: () => toggleRows([name], hidden.has(name)) }, swatch(styles.get(name)), name),
  );
  const press = () => chips.forEach((chip, i) => chip.setAttribute("aria-pressed", String(!hidden.has(names[i]))));
  listeners.add(press);
  press();
  const all = element("button", { class: "quiet", onclick: () => toggleRows(names, names.some((n) => hidden.has(n))) }, "all / none");
  return element("div", { class: "legend", role: "group", "aria-label": "Rows shown" }, ...chips, all);
}

// Draw now, whenever the width changes, and whenever rows are shown or hidden.
function keepDrawn(host, draw) {
  let width = 0;
  const redraw = () => {
    width = host.clientWidth;
    if (width > 0) draw(width);
  };
  new ResizeObserver(() => host.clientWidth !== width && redraw()).observe(host);
  listeners.add(redraw);
  redraw();
  return redraw;
}
