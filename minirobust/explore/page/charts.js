// The charts, as SVG with one unit per pixel, so that text keeps its size at every width.
const SVG = "http://www.w3.org/2000/svg";
export const LINES = [["clean", "no attack"], ["fgsm", "FGSM"], ["strongest", "strongest"], ["certificate", "certified"]];
export const percent = share => `${Math.round(100 * share)}\u00a0%`;

function add(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
}

const widths = new Map(); // because reading a width makes the browser lay out the page at once
export const forgetWidths = () => widths.clear();

function canvas(root, ratio) {
  if (!widths.has(root)) widths.set(root, Math.max(280, root.parentElement.clientWidth - 28));
  const width = widths.get(root), height = Math.min(300, Math.max(210, width * ratio));
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.replaceChildren();
  return [width, height];
}

// points: one entry per place on the horizontal axis, undefined where nothing is known yet; `from` is the first place of
// the shaded part.
export function drawCurves(root, points, ticks, now, caption, from = points.length) {
  const [width, height] = canvas(root, 0.45);
  const left = 54, right = width - 134, top = 10, bottom = height - 28;
  const X = i => left + (right - left) * i / (points.length - 1), Y = share => bottom - (bottom - top) * share;
  if (from < points.length) add(root, "rect", { x: X(from - 0.5), y: top, width: right - X(from - 0.5), height: bottom - top, class: "shade" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    add(root, "line", { x1: left, x2: right, y1: Y(share), y2: Y(share), class: "grid" });
    add(root, "text", { x: left - 6, y: Y(share) + 5, "text-anchor": "end", class: "soft" }, percent(share));
  }
  for (const [i, text] of ticks) add(root, "text", { x: X(i), y: bottom + 20, "text-anchor": "middle", class: "soft" }, text);
  for (const [name] of LINES) drawLine(root, name, points.map(point => point?.[name]), X, Y);
  add(root, "line", { x1: X(now), x2: X(now), y1: top, y2: bottom, class: "marker" });
  labelLines(root, points[now], X(now), Y, right + 10, bottom);
  root.setAttribute("aria-label", caption);
}

function drawLine(root, name, values, X, Y) {
  let path = "", band = [];
  const close = () => { // a missing point is a gap in the curve
    if (band.length > 1) add(root, "polygon", { class: `band ${name}`, points: [...band.map(p => p[0]), ...band.map(p => p[1]).reverse()].join(" ") });
    band = [];
  };
  values.forEach((value, i) => {
    if (!value) return close();
    path += `${band.length ? "L" : "M"}${X(i)},${Y(value[0])}`;
    band.push([`${X(i)},${Y(value[2])}`, `${X(i)},${Y(value[1])}`]);
  });
  close();
  add(root, "path", { d: path, class: `line ${name}` });
  values.forEach((value, i) => { if (value) add(root, "circle", { cx: X(i), cy: Y(value[0]), r: 2, class: `point ${name}` }); });
}

function labelLines(root, point, x, Y, at, bottom) {
  const labels = LINES.filter(([name]) => point?.[name]).map(([name, text]) => ({ name, text, share: point[name][0], y: Y(point[name][0]) }));
  for (const { name, y } of labels) add(root, "circle", { cx: x, cy: y, r: 6, class: `here ${name}` });
  labels.sort((a, b) => a.y - b.y);
  const gap = 19;
  labels.forEach((label, i) => { label.at = Math.max(label.y, i ? labels[i - 1].at + gap : 0); });
  for (let i = labels.length - 1, floor = bottom; i >= 0; i--, floor -= gap) labels[i].at = Math.min(labels[i].at, floor);
  for (const label of labels) add(root, "text", { x: at, y: label.at + 5, class: `value ${label.name}` }, `${percent(label.share)} ${label.text}`);
}

// Net values as bars, with the sigmoid and its derivative in front, and the three regimes behind.
export function drawUnits(root, units) {
  const [width, height] = canvas(root, 0.42);
  const top = 10, bottom = height - 28, X = net => width * (net / units.edge + 1) / 2, Y = share => bottom - (bottom - top) * share;
  const most = Math.max(...units.counts), each = width / units.counts.length;
  if (units.bounds) {
    const [r1, r2] = units.bounds.map(bound => Math.min(bound, units.edge));
    add(root, "rect", { x: X(-r2), y: top, width: X(-r1) - X(-r2), height: bottom - top, class: "nonlinear" });
    add(root, "rect", { x: X(-r1), y: top, width: X(r1) - X(-r1), height: bottom - top, class: "linear" });
    add(root, "rect", { x: X(r1), y: top, width: X(r2) - X(r1), height: bottom - top, class: "nonlinear" });
    for (const [bound, name] of [[-units.bounds[1], "−r₂"], [-units.bounds[0], "−r₁"], [units.bounds[0], "r₁"], [units.bounds[1], "r₂"]]) {
      if (Math.abs(bound) > units.edge || (X(r1) - X(-r1) < 70 && name.endsWith("r₁"))) continue; // no room for the inner pair
      add(root, "text", { x: X(bound) + (X(r1) - X(-r1) < 70 ? Math.sign(bound) * 10 : 0), y: bottom + 18, "text-anchor": "middle", class: "soft" }, name);
    }
  }
  units.counts.forEach((count, i) => add(root, "rect", { class: "bar", x: i * each + 0.5, width: each - 1, y: Y(count / most), height: bottom - Y(count / most) }));
  for (const name of ["derivative", "sigmoid"]) {
    const curve = units[name], place = i => width * i / (curve.length - 1);
    add(root, "path", { class: name, d: `M${curve.map((value, i) => `${place(i)},${Y(value)}`).join("L")}` });
  }
  add(root, "text", { x: 2, y: bottom + 18, class: "soft" }, (-units.edge).toFixed(0));
  add(root, "text", { x: width - 2, y: bottom + 18, "text-anchor": "end", class: "soft" }, units.edge.toFixed(0));
  root.setAttribute("aria-label", `Histogram of net values from ${-units.edge.toFixed(1)} to ${units.edge.toFixed(1)}, with the sigmoid and its derivative`);
}

export function fillTable(parent, rows) {
  const table = document.createElement("table");
  rows.forEach((row, r) => {
    const line = table.insertRow();
    for (const cell of row) line.appendChild(document.createElement(r ? "td" : "th")).textContent = cell;
  });
  parent.replaceChildren(table);
}
