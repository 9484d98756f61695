// Packed arrays and pictures of them in colour.

// Codes of 8 or 16 bits between `low` and `high`; the largest code is a missing value.
function unpack(packed, bits) {
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  const codes = bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
  const missing = 2 ** bits - 1;
  const step = (packed.high - packed.low) / (missing - 1);
  return Float32Array.from(codes, (code) => (code === missing ? NaN : packed.low + step * code));
}

const palettes = Object.fromEntries(
  Object.entries(report.colours).map(([name, data]) => [name, Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]),
);

function gradient(palette) {
  const stops = Array.from({ length: 17 }, (_, i) => {
    const at = 3 * Math.round((i * 255) / 16);
    return `rgb(${palette[at]} ${palette[at + 1]} ${palette[at + 2]})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// Paint `columns` by `rows` values, column after column from `offset` on, the first row at the bottom.
function paint(canvas, values, offset, columns, rows, low, high, palette) {
  if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  const factor = 255 / (high - low || 1);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const value = values[offset + column * rows + row];
      const at = 4 * ((rows - 1 - row) * columns + column);
      if (!Number.isFinite(value)) continue;
      const colour = 3 * Math.max(0, Math.min(255, Math.round((value - low) * factor)));
      image.data.set([palette[colour], palette[colour + 1], palette[colour + 2], 255], at);
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A panel with a canvas, the ends of both axes and a colour scale. across, up: {name, low, high}; ratio: width to height.
function heatPanel({ title, across, up, ratio, height, low, high, palette, onpick }) {
  const canvas = element("canvas", { role: "img", "aria-label": `${title}: ${across.name} and ${up.name}, colours from ${format(low)} to ${format(high)}` });
  canvas.style.aspectRatio = ratio ?? "auto";
  if (height) canvas.style.height = `${height}px`;
  const now = element("div", { class: "now" });
  const picture = element("div", { class: "picture" }, canvas, ...(onpick ? [now] : []));
  if (onpick) {
    picture.style.cursor = "pointer";
    picture.addEventListener("click", (event) => onpick((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth));
  }
  const scale = element("i");
  scale.style.background = gradient(palette);
  const node = element(
    "figure", { class: "panel" },
    element("figcaption", {}, title),
    element("div", { class: "up" }, element("span", {}, format(up.high)), element("span", {}, up.name), element("span", {}, format(up.low))),
    picture,
    element("div", { class: "along" }, element("span", {}, format(across.low)), element("span", {}, across.name), element("span", {}, format(across.high))),
    element("div", { class: "scale" }, format(low), scale, format(high)),
  );
  const show = (values, offset, columns, rows) => {
    paint(canvas, values, offset, columns, rows, low, high, palette);
    canvas.style.imageRendering = columns < canvas.clientWidth && rows < canvas.clientHeight ? "pixelated" : "auto";
  };
  return { node, show, mark: (share) => { now.style.left = `${100 * share}%`; } };
}
