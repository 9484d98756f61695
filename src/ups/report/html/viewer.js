// Stored forecasts through time: curves and space-time pictures in 1D, pictures of one frame in 2D.

function viewer(place, fields) {
  const frames = fields.times.length;
  const flat = fields.coords.length === 1;
  const [columns, rows] = flat ? [frames, fields.coords[0].length] : fields.coords.map((axis) => axis.length);
  const points = flat ? rows : columns * rows;
  const names = Object.keys(fields.members);
  const state = initialState();
  let [values, panels, redrawLines] = [null, [], () => {}];

  // `report.html#frame=20&trajectory=3&row=operator` opens there; frame is a step of the rollout.
  function initialState() {
    const asked = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    const models = report.rows.filter((row) => row.model && row.error !== null && names.includes(row.name)).map((row) => row.name);
    const step = Number(asked.get("frame") ?? fields.steps[Math.floor(frames / 2)]);
    const distance = fields.steps.map((s) => Math.abs(s - step));
    const trajectory = fields.trajectories.findIndex((t) => String(t.index) === asked.get("trajectory"));
    return {
      frame: Math.max(0, distance.indexOf(Math.min(...distance))),
      row: names.includes(asked.get("row")) ? asked.get("row") : models.at(-1) ?? names[0],
      trajectory: trajectory >= 0 ? trajectory : Math.floor((fields.trajectories.length - 1) / 2),
      channel: Math.max(0, report.channels.indexOf(asked.get("channel"))),
    };
  }

  function load() {
    const { truth, rows: stored } = fields.trajectories[state.trajectory];
    const packed = stored[state.row];
    const part = (name) => (packed[name] ? unpack(packed[name][state.channel], fields.bits) : null);
    const exact = unpack(truth[state.channel], fields.bits);
    const [error, offset] = [part("error"), part("member")];
    const plus = (more) => more && exact.map((v, i) => v + more[i]);
    values = { truth: exact, error, mean: plus(error), member: plus(offset), spread: part("spread") };
  }

  const limits = (list) => {
    let [low, high] = [Infinity, -Infinity];
    for (const part of list) for (const v of part ?? []) if (Number.isFinite(v)) [low, high] = [Math.min(low, v), Math.max(high, v)];
    return low <= high ? [low, high] : [0, 1];
  };
  const largest = (list) => Math.max(...limits(list).map(Math.abs)) || 1;
  const meanName = () => (fields.members[state.row] > 1 ? `mean of ${fields.members[state.row]}` : "forecast");

  // Selectors, button, slider and readings.
  const select = (label, options, value, pick) => {
    const list = element("select", { onchange: (event) => { pick(event.target.value); change(); } });
    options.forEach(([key, text]) => list.append(element("option", { value: key, ...(String(key) === String(value) ? { selected: "" } : {}) }, text)));
    return element("label", {}, label, list);
  };
  const controls = element(
    "div", { class: "controls" },
    select("row", names.map((name) => [name, name]), state.row, (v) => { state.row = v; }),
    select("trajectory", fields.trajectories.map((t, i) => [i, trajectoryName(t, i)]), state.trajectory, (v) => { state.trajectory = Number(v); }),
    ...(report.channels.length > 1 ? [select("channel", report.channels.map((c, i) => [i, c]), state.channel, (v) => { state.channel = Number(v); })] : []),
  );
  const slider = element("input", { type: "range", min: 0, max: frames - 1, value: state.frame, id: "frame", "aria-label": "frame", oninput: () => go(Number(slider.value)) });
  const clock = element("output", { for: "frame", id: "clock" });
  const button = element("button", { onclick: play }, "Play");
  const reading = element("p", { class: "reading", id: "reading" });
  const [lines, differences] = ["forecast and truth", "error"].map((label) => element("div", { role: "img", "aria-label": `${label} against position at the chosen time` }));
  const grid = element("div", { class: "panels" });
  let timer = null;

  function trajectoryName({ index, params }, place) {
    const given = params.map((v, i) => `${report.params[i]} ${format(v)}`).join(", ");
    const rank = fields.trajectories.length < 3 ? "" : { 0: "lowest error", [fields.trajectories.length - 1]: "highest error" }[place] ?? "";
    return [`No. ${index}`, given, rank].filter(Boolean).join(" · ");
  }

  function play() {
    if (timer) stop();
    else {
      if (state.frame === frames - 1) go(0);
      timer = setInterval(() => (state.frame < frames - 1 ? go(state.frame + 1) : stop()), Math.max(40, Math.min(140, 5000 / frames)));
      button.textContent = "Pause";
    }
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }

  function go(frame) {
    state.frame = frame;
    slider.value = frame;
    showFrame();
  }

  function change() {
    load();
    drawPanels();
    showFrame();
  }

  function showFrame() {
    const time = `t = ${format(fields.times[state.frame])}`;
    clock.textContent = `${time}, step ${fields.steps[state.frame]}`;
    slider.setAttribute("aria-valuetext", clock.textContent);
    const nrmse = fields.trajectories[state.trajectory].rows[state.row].nrmse[state.channel][state.frame];
    reading.textContent = state.frame === 0
      ? "The given frame: the forecast starts from the truth."
      : `nRMSE of ${state.row}${values.spread ? ` (${meanName()})` : ""} here: ${format(nrmse)}`;
    redrawLines();
    panels.forEach((panel) => (flat ? panel.mark((state.frame + 0.5) / frames) : panel.draw(state.frame * points)));
  }

  function drawPanels() {
    const [low, high] = limits([values.truth]);
    const most = Math.max(-low, high);
    const range = Math.min(-low, high) > 0.01 * most ? [-most, most, palettes.RdBu_r] : [low, high, palettes.cividis];
    const [worst, widest] = [largest([values.error]), largest([values.spread])];
    const found = [
      ["truth", values.truth, ...range],
      [meanName(), values.mean, ...range],
      ["one member", values.member, ...range],
      [values.spread ? "error of the mean" : "error", values.error, -worst, worst, palettes.RdBu_r],
      ["spread", values.spread, 0, widest, palettes.Purples],
    ].filter(([, list]) => list);
    const ends = (axis) => [axis[0], axis.at(-1)];
    const [across, up] = flat ? [fields.times, fields.coords[0]] : fields.coords;
    const side = (name, axis) => ({ name, low: ends(axis)[0], high: ends(axis)[1] });
    const ratio = flat ? null : Math.min(3, Math.max(1 / 3, (across.at(-1) - across[0]) / (up.at(-1) - up[0]) || 1));
    panels = found.map(([title, list, low, high, palette]) => {
      const panel = heatPanel({
        title, low, high, palette, ratio, height: flat ? 170 : null,
        across: side(flat ? "time t" : fields.axes[0], across), up: side(fields.axes[flat ? 0 : 1], up),
        onpick: flat ? (at) => go(Math.max(0, Math.min(frames - 1, Math.floor(at * frames)))) : null,
      });
      return { ...panel, draw: (offset) => panel.show(list, offset, columns, rows) };
    });
    grid.replaceChildren(...panels.map((panel) => panel.node));
    if (flat) panels.forEach((panel) => panel.draw(0));
  }

  // The two line plots of 1D fields.
  const curves = () => [
    { name: "truth", list: values.truth, colour: "var(--ink)", width: 4, opacity: 0.4, dash: "" },
    ...(values.member ? [{ name: "one member", list: values.member, colour: "var(--c1)", width: 1.3, dash: "" }] : []),
    { name: meanName(), list: values.mean, colour: "var(--c0)", width: 2, dash: values.member ? "7 4" : "" },
  ];

  function linePlot(host, height, yName, y, parts, band) {
    const width = host.clientWidth;
    if (!width) return;
    const xs = fields.coords[0];
    const at = state.frame * points;
    const frame = axes(width, height, { x: [xs[0], xs.at(-1)], y, margin: 56, xName: host === differences ? `position ${fields.axes[0]} (length units of the data)` : "", yName, bottom: host === differences ? 38 : 22 });
    const layer = inside(frame);
    if (band && values.spread) {
      const edge = (sign) => Array.from(xs, (x, i) => `${frame.across(x).toFixed(1)} ${frame.down(band[at + i] + 2 * sign * values.spread[at + i]).toFixed(1)}`);
      const area = shape("path", { d: `M${edge(1).join("L")}L${edge(-1).reverse().join("L")}Z`, class: "band" });
      area.style.cssText = "fill: var(--c0); opacity: 0.18";
      layer.append(area);
    }
    for (const part of parts) {
      const path = shape("path", { class: "curve", d: pathOf(xs, part.list.subarray(at, at + points), frame), "stroke-width": part.width, "stroke-dasharray": part.dash, "data-name": part.name });
      path.style.cssText = `stroke: ${part.colour}; opacity: ${part.opacity ?? 1}`;
      layer.append(path);
    }
    host.replaceChildren(shape("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, frame.layer, layer));
  }

  function drawLines() {
    const room = ([low, high]) => [low - 0.05 * (high - low), high + 0.05 * (high - low)];
    const worst = 1.05 * largest([values.error]);
    const channel = report.channels[state.channel];
    linePlot(lines, 270, channel, room(limits([values.truth, values.mean, values.member])), curves(), values.mean);
    const error = { name: "error", list: values.error, colour: "var(--c0)", width: 1.8, dash: "" };
    linePlot(differences, 140, values.spread ? "error of the mean" : "error", [-worst, worst], [error]);
    key.replaceChildren(
      ...curves().map((c) => element("span", {}, swatch(c), c.name)),
      ...(values.spread ? [element("span", {}, swatch({ colour: "color-mix(in srgb, var(--c0) 25%, transparent)", width: 8 }), "mean ± 2 spreads")] : []),
    );
  }

  const nth = (n) => `${n}${{ 2: "nd", 3: "rd" }[n] ?? "th"}`;
  const key = element("div", { class: "legend plain" });
  const kept = fields.trajectories.length;
  const { time, space } = fields.thinned;
  const less = [time > 1 && `every ${nth(time)} frame`, space > 1 && `every ${nth(space)} point`, fields.sliced && "the middle of the third axis"].filter(Boolean);
  const chosen = kept === fields.stored ? "" : kept > 1 ? ", chosen evenly from the lowest to the highest error" : ", that of median error";
  const note = `${kept} of ${fields.stored} stored trajectories${chosen}${less.length ? `, with ${less.join(", ")}` : ""}. ` +
    (flat ? "Click a picture, or move the slider, to choose a time. " : "") +
    "Truth and forecasts share one scale of colour. An address that ends in #frame=20 opens at step 20.";
  place.replaceChildren(
    controls,
    element("div", { class: "timeline" }, button, slider, clock),
    reading,
    ...(flat ? [key, lines, differences] : []),
    grid,
    element("p", { class: "note" }, note),
  );
  load();
  drawPanels();
  if (flat) redrawLines = keepDrawn(place, drawLines);
  showFrame();
}
