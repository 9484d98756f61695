// Charts of curves with a reading under the pointer, histograms, and a scatter of named points.

// spec: title, note, xName, yName, xLog, yLog, xWhole, xRange, yRange, height, guides [y], zone [low, high], legend,
// curves [{name, row, xs, ys, colour, dash, width}]; a curve whose `row` is hidden is left out.
function lineChart(spec) {
  const caption = element("figcaption", {}, spec.title, spec.note ? element("small", {}, spec.note) : "");
  const tip = element("div", { class: "tip", role: "status", hidden: "" });
  const host = element("div", { tabindex: 0, role: "img", "aria-label": summary(spec) });
  const key = spec.legend ? element("div", { class: "legend plain" }, ...spec.curves.map((c) => element("span", {}, swatch(c), c.name))) : "";
  const figure = element("figure", {}, caption, host, key, tip);
  let [frame, shown, place, cross] = [null, [], -1, null];

  function draw(width) {
    const height = spec.height ?? 280;
    shown = spec.curves.filter((curve) => !hidden.has(curve.row));
    const xs = spec.curves.flatMap((curve) => curve.xs);
    const x = spec.xLog ? [Math.min(...xs), Math.max(...xs)] : spec.xRange ?? [Math.min(...xs), Math.max(...xs)];
    if (x[0] === x[1]) [x[0], x[1]] = [x[0] - 0.5, x[1] + 0.5];
    const y = [...(spec.yRange?.(shown) ?? extent([...shown.flatMap((c) => c.ys), ...(spec.guides ?? [])], spec.yLog))];
    frame = axes(width, height, { ...spec, x, y });
    const layer = inside(frame);
    if (spec.zone) {
      const [top, bottom] = [frame.down(Math.min(spec.zone[1], y[1])), frame.down(Math.max(spec.zone[0], y[0]))];
      if (bottom > top) layer.append(shape("rect", { class: "zone", x: frame.left, width: frame.right - frame.left, y: top, height: bottom - top }));
    }
    for (const v of spec.guides ?? []) layer.append(shape("line", { class: "guide", x1: frame.left, x2: frame.right, y1: frame.down(v), y2: frame.down(v) }));
    for (const curve of shown) layer.append(line(curve));
    cross = shape("line", { class: "cross", y1: frame.top, y2: frame.bottom, visibility: "hidden" });
    host.replaceChildren(shape("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, frame.layer, layer, ...shown.flatMap(dots), cross));
    hide();
  }

  function line(curve) {
    const path = shape("path", { class: "curve", d: pathOf(curve.xs, curve.ys, frame, spec.yLog), "stroke-dasharray": curve.dash, "stroke-width": curve.width });
    path.style.stroke = curve.colour;
    if (curve.opacity) path.style.opacity = curve.opacity;
    return path;
  }

  // Points that no line leads to, and those of curves that are hardly more than their ends; not cut off by the frame.
  function dots(curve) {
    const known = (i) => Number.isFinite(curve.ys[i] ?? NaN) && !(spec.yLog && curve.ys[i] <= 0);
    return curve.xs.flatMap((x, i) => {
      const at = known(i) ? frame.down(curve.ys[i]) : NaN;
      const lonely = curve.xs.length <= 2 || !(known(i - 1) || known(i + 1));
      if (!lonely || !(at >= frame.top && at <= frame.bottom)) return [];
      const dot = shape("circle", { class: "dot", cx: frame.across(x), cy: at, r: 3.5 });
      dot.style.fill = curve.colour;
      return [dot];
    });
  }

  function read(index) {
    const xs = shown[0]?.xs ?? [];
    if (!xs.length) return hide();
    place = Math.max(0, Math.min(index, xs.length - 1));
    const at = frame.across(xs[place]);
    cross.setAttribute("x1", at);
    cross.setAttribute("x2", at);
    cross.setAttribute("visibility", "visible");
    const lines = shown.map((c) => element("div", {}, swatch(c), element("span", {}, c.name), element("span", {}, format(c.ys[place]))));
    tip.replaceChildren(element("b", {}, `${spec.xName.replace(/ \(.*/, "")} ${format(xs[place])}`), ...lines);
    tip.hidden = false;
    const room = host.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(at + 14 > room ? at - tip.offsetWidth - 14 : at + 14, room))}px`;
    tip.style.top = `${host.offsetTop + frame.bottom + 24}px`;
  }

  function hide() {
    tip.hidden = true;
    place = -1;
    cross?.setAttribute("visibility", "hidden");
  }

  function nearest(event) {
    const at = event.clientX - host.getBoundingClientRect().left;
    const xs = shown[0]?.xs ?? [];
    let best = 0;
    xs.forEach((x, i) => { if (Math.abs(frame.across(x) - at) < Math.abs(frame.across(xs[best]) - at)) best = i; });
    return best;
  }

  host.addEventListener("pointermove", (event) => read(nearest(event)));
  host.addEventListener("pointerdown", (event) => read(nearest(event)));
  host.addEventListener("pointerleave", hide);
  host.addEventListener("blur", hide);
  host.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) read(place + step);
    if (event.key === "Escape") hide();
    if (step) event.preventDefault();
  });
  queueMicrotask(() => keepDrawn(host, draw));
  return figure;
}

function summary({ title, xName, yName, curves }) {
  const last = curves.map((c) => `${c.name} ${format(c.ys.findLast((v) => v !== null))}`);
  return `${title}: ${yName} against ${xName}. At the end: ${last.join(", ")}.`;
}

// Shares `values` of bins as bars; the dotted line is `even`.
function histogram({ title, note, values, even, colour, xName }) {
  const host = element("div", { role: "img", "aria-label": `${title}, ${note}: ${values.map((v) => format(v, 2)).join(", ")}` });
  queueMicrotask(() => keepDrawn(host, (width) => {
    const height = 190;
    const frame = axes(width, height, { x: [-0.5, values.length - 0.5], y: [0, 1.08 * Math.max(...values, even)], xName, yName: "share of points" });
    const bars = values.map((v, i) => {
      const [from, to] = [frame.across(i - 0.44), frame.across(i + 0.44)];
      const bar = shape("rect", { x: from, width: to - from, y: frame.down(v), height: frame.bottom - frame.down(v) });
      bar.style.fill = colour;
      return bar;
    });
    const line = shape("line", { class: "guide", x1: frame.left, x2: frame.right, y1: frame.down(even), y2: frame.down(even) });
    host.replaceChildren(shape("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, frame.layer, ...bars, line));
  }));
  return element("figure", {}, element("figcaption", {}, title, element("small", {}, note)), host);
}

// Named points [{name, x, y, colour}] on logarithmic axes, and named horizontal lines [{name, y}].
function scatter({ title, xName, yName, points, lines, height = 300 }) {
  const label = `${title}: ${points.map((p) => `${p.name} ${format(p.y)} at ${format(p.x)}`).join(", ")}`;
  const host = element("div", { role: "img", "aria-label": label });
  queueMicrotask(() => keepDrawn(host, (width) => {
    const pad = ([low, high], factor) => [low / factor, high * factor];
    const x = pad(extent(points.map((p) => p.x), true), 1.6);
    const y = pad(extent([...points, ...lines].map((p) => p.y), true), 1.25);
    const frame = axes(width, height, { x, y, xLog: true, yLog: true, xName, yName });
    const drawn = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, frame.layer);
    const taken = points.map((p) => [frame.across(p.x) - 5, frame.down(p.y) - 5, 10, 10]);
    for (const line of lines) {
      const at = frame.down(line.y);
      drawn.append(shape("line", { class: "guide", x1: frame.left, x2: frame.right, y1: at, y2: at }));
      drawn.append(shape("text", { x: frame.right, y: at - 5, "text-anchor": "end" }, line.name));
      taken.push([frame.right - 7 * line.name.length, at - 17, 7 * line.name.length, 18]);
    }
    for (const p of points) {
      const dot = shape("circle", { cx: frame.across(p.x), cy: frame.down(p.y), r: 5 });
      dot.style.fill = p.colour;
      drawn.append(dot, labelBeside(p.name, frame.across(p.x), frame.down(p.y), taken, frame));
    }
    host.replaceChildren(drawn);
  }));
  return element("figure", {}, element("figcaption", {}, title), host);
}

// The name of a point at the first place beside it that nothing else takes.
function labelBeside(name, x, y, taken, frame) {
  const width = 6.6 * name.length;
  const places = [[x + 9, y + 4], [x - 9 - width, y + 4], [x - width / 2, y - 10], [x - width / 2, y + 19], [x + 9, y - 9], [x + 9, y + 17], [x - 9 - width, y - 9], [x - 9 - width, y + 17]];
  const free = ([left, base]) =>
    left > frame.left && left + width < frame.right + 6 &&
    taken.every(([tx, ty, tw, th]) => left > tx + tw || left + width < tx || base - 11 > ty + th || base + 2 < ty);
  const [left, base] = places.find(free) ?? places[0];
  taken.push([left, base - 11, width, 13]);
  const text = shape("text", { x: left, y: base }, name);
  text.style.fill = "var(--ink)";
  return text;
}
