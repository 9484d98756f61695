// The sections that are drawn: errors, calibration, spectra, training, costs, and the viewer.

const slot = (name) => document.getElementById(name);
const grid = (figures, kind = "") => element("div", { class: `charts ${kind}` }, ...figures);

const rowCurves = (rows, xs, values) =>
  rows.map((row) => ({ name: row.name, row: row.name, xs, ys: values(row), ...styles.get(row.name) }));

function drawErrors(place) {
  const chart = (key, title, more) => lineChart({
    title, xName: LEAD, yName: title, xRange: [0, report.leads.at(-1)], height: 330,
    curves: rowCurves(report.rows, report.leads, (row) => row[key]), ...more,
  });
  // one forecast that blows up must not flatten the others
  const capped = (shown) => {
    const [low, high] = extent(shown.flatMap((curve) => curve.ys), true);
    return [low, Math.min(high, 100)];
  };
  place.replaceChildren(
    rowLegend(report.rows),
    grid([
      chart("nrmse", "nRMSE", { yName: "nRMSE (no unit)", note: "free rollout, of the ensemble mean", yLog: true, yRange: capped }),
      chart("crps", "CRPS", { yName: `CRPS (${FIELD_UNITS})`, note: "physical units", yLog: true }),
      chart("correlation", "Spatial correlation with the truth", { yName: "correlation (1 is perfect)", note: `below ${report.threshold} a forecast counts as lost`, guides: [report.threshold] }),
    ]),
  );
}

const fromFlat = (shares) => shares.reduce((sum, share) => sum + Math.abs(share - 1 / shares.length), 0);

function drawCalibration(place) {
  const rows = report.rows.filter((row) => row.spread_skill);
  const chart = (key, title, yName, note) => {
    const guides = [...new Set(rows.map((row) => row.nominal[key]))];
    return lineChart({
      title, note, xName: LEAD, yName, xRange: [0, report.leads.at(-1)], guides, height: 260,
      yRange: (shown) => [0, Math.max(1.02, extent([...shown.flatMap((c) => c.ys), ...guides])[1])],
      curves: rowCurves(rows, report.leads, (row) => row[key]),
    });
  };
  const ranked = rows.filter((row) => row.ranks && row.error !== null);
  const bars = element("div", { class: "charts small" });
  const draw = (at) => bars.replaceChildren(...ranked.map((row) => histogram({
    title: row.name, note: `distance from flat ${format(fromFlat(row.ranks[at]), 2)}`, values: row.ranks[at],
    even: 1 / row.ranks[at].length, colour: styles.get(row.name).colour, xName: "members below the truth",
  })));
  const choice = element("select", { "aria-label": "lead time of the ranks", onchange: () => draw(Number(choice.value)) });
  ["all steps", ...report.spectra.steps.map((step) => `step ${step}, lead time ${format(report.leads[step - 1])}`)]
    .slice(0, Math.max(...ranked.map((row) => row.ranks.length)))
    .forEach((name, i) => choice.append(element("option", { value: i }, name)));
  place.replaceChildren(
    rowLegend(rows),
    grid([
      chart("spread_skill", "Spread / skill", "spread / skill (ratio)", "above 1 the ensemble is too wide"),
      chart("coverage_50", "Coverage of the central 50 %", "share of truths", "share of truths inside"),
      chart("coverage_90", "Coverage of the central 90 %", "share of truths", "share of truths inside"),
    ]),
    element("p", { class: "note" }, "Dotted: what perfect members, as many as these, would score."),
    element("h3", {}, "Rank of the truth among the members"),
    element("p", {}, choice),
    bars,
    element("p", { class: "note" }, "A flat histogram is calibrated; a cup is too narrow, a hill too wide, a slope biased."),
  );
  bars.style.setProperty("--least", "240px");
  draw(0);
}

function drawSpectra(place) {
  const { steps, powers } = report.spectra;
  const rows = report.rows.filter((row) => powers[row.name]);
  const panels = element("div", { class: "charts" });
  const draw = (channel) => {
    const figures = steps.map((step, i) => {
      const truth = powers.truth[i][channel];
      const ks = truth.map((_, k) => k).slice(1);
      const positive = truth.slice(1, -1).filter((v) => v > 0);
      const top = Math.max(...truth.slice(1));
      const low = Math.max(top * 1e-13, Math.min(...positive) / 30);
      // room for every row, but none for a forecast that blew up
      const range = (shown) => [low, Math.max(3 * top, Math.min(extent(shown.flatMap((curve) => curve.ys), true)[1], 1e3 * top))];
      return lineChart({
        title: `Step ${step}`, note: `lead time ${format(report.leads[step - 1])}`, xName: "wavenumber k (periods per domain)", yName: "power E(k) (squared units of the field)",
        xLog: true, yLog: true, height: 300, yRange: range,
        curves: [
          { name: "truth", xs: ks, ys: truth.slice(1), colour: "var(--ink)", width: 5, opacity: 0.25, dash: "" },
          ...rowCurves(rows, ks, (row) => powers[row.name][i][channel].slice(1)),
        ],
      });
    });
    panels.replaceChildren(...figures);
  };
  const choice = element("select", { "aria-label": "channel of the spectra", onchange: () => draw(Number(choice.value)) });
  report.channels.forEach((name, i) => choice.append(element("option", { value: i }, `channel ${name}`)));
  place.replaceChildren(
    rowLegend(rows),
    ...(report.channels.length > 1 ? [element("p", {}, choice)] : []),
    panels,
    element("p", { class: "note" }, "Power of one member, mean over trajectories; the broad line is the truth. The mean of an ensemble is too smooth, a member must not be."),
  );
  draw(0);
}

function drawTraining(place) {
  const palette = ["var(--ink)", "var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"];
  const stages = report.training.map((stage) => {
    const heading = element("h3", {}, `${stage.name} `, element("small", {}, `${stage.epochs.length} epoch${stage.epochs.length > 1 ? "s" : ""}`));
    if (stage.epochs.length < 2) {
      const numbers = [["loss", stage.losses.loss], ["score", stage.score], ["gradient norm", stage.grad_norm]];
      return element("div", {}, heading, element("p", { class: "note" }, numbers.map(([name, [v]]) => `${name} ${format(v)}`).join(", ")));
    }
    const xRange = [stage.epochs[0], stage.epochs.at(-1)];
    const chart = (title, note, curves, more = {}) => lineChart({
      title, note, xName: "epoch", xWhole: true, xRange, yName: title.toLowerCase(), height: 190, yLog: true, curves, ...more,
    });
    // a curve through the epochs that have a value; nothing where none has
    const single = (title, note, ys, more) => {
      const known = stage.epochs.map((x, i) => [x, ys[i]]).filter(([, y]) => y !== null);
      const curve = { name: title, xs: known.map(([x]) => x), ys: known.map(([, y]) => y), colour: "var(--c0)", dash: "" };
      return known.length ? [chart(title, note, [curve], more)] : [];
    };
    const losses = Object.entries(stage.losses).map(([name, ys], i) => ({ name, xs: stage.epochs, ys, colour: palette[i % 7], dash: DASHES[Math.floor(i / 7) % 5], width: i ? 1.4 : 2.2 }));
    const best = Math.min(...stage.score.filter((v) => v !== null));
    const epoch = stage.epochs[stage.score.indexOf(best)];
    return element(
      "div", {},
      heading,
      grid([
        chart("Loss", losses.length > 1 ? "with its parts" : "training", losses, { legend: losses.length > 1 }),
        ...single("Score", `best ${format(best)}, epoch ${epoch}`, stage.score),
        ...single("Gradient norm", "healthy from 0.01 to 1", stage.grad_norm, { zone: [0.01, 1] }),
        ...single("Learning rate", "at the end of the epoch", stage.lr, { yLog: false, yRange: ([curve]) => [0, 1.06 * Math.max(...curve.ys) || 1] }),
      ], "small"),
    );
  });
  place.replaceChildren(...stages);
  place.style.setProperty("--least", "230px");
}

function drawCosts(place) {
  const named = (name) => report.rows.find((row) => row.name === name && row.error !== null);
  const lines = ["persistence"].map(named).filter(Boolean).map((row) => ({ name: row.name, y: row.error }));
  const points = report.rows
    .filter((row) => row.error !== null && !["persistence", "autoencoder"].includes(row.name))
    .map((row) => ({ name: row.name, x: row.ms, y: row.error, colour: styles.get(row.name).colour }));
  if (!points.length) return place.replaceChildren();
  place.replaceChildren(scatter({ title: "Error against cost: lower left is better", xName: "milliseconds per step of one member", yName: "nRMSE, free rollout (no unit)", points, lines }));
}

const sections = {
  viewer: (place) => viewer(place, report.fields),
  "error-curves": drawErrors,
  "calibration-curves": drawCalibration,
  "spectrum-curves": drawSpectra,
  "training-curves": drawTraining,
  "cost-picture": drawCosts,
};
for (const [name, draw] of Object.entries(sections)) if (slot(name)) draw(slot(name));
