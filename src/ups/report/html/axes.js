// Scales and ticks, linear and logarithmic, and the frame of a chart.

function linearTicks(low, high, count) {
  const span = high - low || 1;
  const unit = 10 ** Math.floor(Math.log10(span / count));
  const step = unit * ([1, 2, 5].find((m) => span / (m * unit) <= count) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function logTicks(low, high, count) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const decades = Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => 10 ** (first + i));
  if (decades.length >= 2) {
    const stride = Math.ceil(decades.length / count);
    return decades.filter((_, i) => i % stride === 0);
  }
  const finer = [];
  for (let e = first - 1; e <= last + 1; e++) for (const m of [1, 2, 5]) finer.push(m * 10 ** e);
  return finer.filter((v) => v >= low * 0.999 && v <= high * 1.001);
}

// A function from values in [low, high] to pixels in [from, to], with its ticks.
function scaleOf(low, high, from, to, log, count) {
  const at = log ? Math.log10 : (v) => v;
  const span = at(high) - at(low) || 1;
  const scale = (v) => from + ((at(v) - at(low)) / span) * (to - from);
  scale.ticks = log ? logTicks(low, high, count) : linearTicks(low, high, count);
  scale.label = (v) => (log && (v < 1e-2 || v >= 1e4) && Number.isInteger(Number(Math.log10(v).toFixed(6))) ? `10${raised(Math.round(Math.log10(v)))}` : format(v));
  return scale;
}

// Smallest and largest finite value, positive ones alone on a logarithmic axis, with some room around.
function extent(values, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) {
    if (v === null || v === undefined || !Number.isFinite(v) || (log && v <= 0)) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const room = Math.max(1.25, Math.sqrt((5 * low) / high));
    return [low / room, high * room];
  }
  const room = 0.04 * (high - low) || 0.5 * Math.abs(high) || 1;
  return [low - room, high + room];
}

// Grid, ticks and names of both axes. The name of y stands above its axis, so that it reads from left to right.
function axes(width, height, { x, y, xLog, yLog, xName, yName, xWhole, margin = 0, top = 24, bottom = 38 }) {
  const down = scaleOf(y[0], y[1], height - bottom, top, yLog, Math.max(3, Math.round(height / 50)));
  const longest = Math.max(...down.ticks.map((v) => down.label(v).length), 1);
  const left = Math.max(margin, Math.min(12 + 7 * longest, 76));
  const right = width - 10;
  const across = scaleOf(x[0], x[1], left, right, xLog, Math.max(3, Math.round(width / 90)));
  const layer = shape("g");
  for (const v of down.ticks) {
    layer.append(
      shape("line", { class: "grid", x1: left, x2: right, y1: down(v), y2: down(v) }),
      shape("text", { x: left - 7, y: down(v) + 4, "text-anchor": "end" }, down.label(v)),
    );
  }
  layer.append(shape("line", { class: "axis", x1: left, x2: right, y1: height - bottom, y2: height - bottom }));
  for (const v of across.ticks) {
    if (xWhole && !Number.isInteger(v)) continue;
    layer.append(
      shape("line", { class: "axis", x1: across(v), x2: across(v), y1: height - bottom, y2: height - bottom + 4 }),
      shape("text", { x: across(v), y: height - bottom + 17, "text-anchor": "middle" }, across.label(v)),
    );
  }
  layer.append(shape("text", { x: 0, y: 12 }, yName));
  if (xName) layer.append(shape("text", { x: right, y: height - 4, "text-anchor": "end" }, xName));
  return { layer, across, down, left, right, top, bottom: height - bottom };
}

// A clipped layer for the curves of a frame.
function inside(frame) {
  const { left, right, top, bottom } = frame;
  const [width, height] = [Math.max(right - left, 1), Math.max(bottom - top, 1)];
  return shape("svg", { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}`, overflow: "hidden" });
}

// The path of a curve; it is broken where a value is missing.
function pathOf(xs, ys, frame, log) {
  let [path, pen] = ["", "M"];
  for (let i = 0; i < xs.length; i++) {
    const v = ys[i];
    if (v === null || v === undefined || !Number.isFinite(v) || (log && v <= 0)) {
      pen = "M";
      continue;
    }
    path += `${pen}${frame.across(xs[i]).toFixed(1)} ${frame.down(v).toFixed(1)}`;
    pen = "L";
  }
  return path;
}
