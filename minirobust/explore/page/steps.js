// Backpropagation step by step: the server sends all steps in order, and two buttons move through them.
const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const PLACES = { x1: [50, 90], x2: [50, 230], net1: [190, 50], net2: [190, 160], net3: [190, 270], z1: [340, 90], z2: [340, 230], L: [450, 160] };
const HIDDEN = ["net1", "net2", "net3"];

function add(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
}
const shown = value => (Object.is(Math.round(value * 1e4), -0) ? 0 : value).toFixed(4).replace("-", "−");

function line(root, from, to, weight, share) {
  const [[x1, y1], [x2, y2]] = [PLACES[from], PLACES[to]];
  add(root, "line", { x1, y1, x2, y2, class: "grid" });
  if (weight !== undefined) add(root, "text", { x: x1 + (x2 - x1) * share, y: y1 + (y2 - y1) * share - 3, "text-anchor": "middle", class: "soft small" }, `${weight}`.replace("-", "−"));
}

// The picture shows all numbers computed so far, and marks those of the current step.
function draw({ network, steps }, now) {
  const root = $("picture"), known = new Map(), fresh = new Set(steps[now].numbers.map(number => number.name));
  for (const step of steps.slice(0, now + 1)) for (const number of step.numbers) known.set(number.name, number.value);
  network.x.forEach((value, i) => known.set(`x${i + 1}`, value));
  root.setAttribute("viewBox", "0 0 500 330");
  root.replaceChildren();
  for (const i of [0, 1]) for (const j of [0, 1, 2]) line(root, `x${i + 1}`, HIDDEN[j], network.W1[i][j], 0.3 + 0.1 * j);
  for (const j of [0, 1, 2]) for (const k of [0, 1]) line(root, HIDDEN[j], `z${k + 1}`, network.W2[j][k], 0.5 + 0.14 * k);
  for (const k of [1, 2]) line(root, `z${k}`, "L");
  for (const [name, [x, y]] of Object.entries(PLACES)) {
    const above = name.startsWith("net") ? [name, name.replace("net", "h")] : name.startsWith("z") ? [name, name.replace("z", "p")] : [name];
    const below = name.startsWith("net") ? [`∂L/∂${name.replace("net", "h")}`, `∂L/∂${name}`] : [`∂L/∂${name}`];
    const marked = [...above, ...below].some(each => fresh.has(each));
    add(root, "circle", { cx: x, cy: y, r: 16, class: marked ? "unit marked" : "unit" });
    add(root, "text", { x, y: y + 5, "text-anchor": "middle", class: "small" }, name);
    above.filter(each => known.has(each)).forEach((each, i, all) => write(each, y - 22 - 14 * (all.length - 1 - i)));
    below.filter(each => known.has(each)).forEach((each, i) => write(each, y + 30 + 14 * i));
    function write(each, at) { add(root, "text", { x, y: at, "text-anchor": "middle", class: fresh.has(each) ? "small value strongest" : "small" }, `${each.replace("∂L/∂", "∂")} ${shown(known.get(each))}`); }
  }
}

function show(all, now) {
  const step = all.steps[now];
  $("place").textContent = `Step ${now + 1} of ${all.steps.length}, ${step.direction === "back" ? "backward pass" : "forward pass"}`;
  $("title").textContent = step.title;
  $("formula").textContent = step.formula;
  $("sources").replaceChildren(...step.sources.flatMap(({ code, where }) => {
    const [text, place] = [document.createElement("pre"), document.createElement("p")];
    Object.assign(text, { className: "scroll", textContent: code, tabIndex: 0 });
    Object.assign(place, { className: "note", textContent: where });
    return [place, text];
  }));
  const table = document.createElement("table");
  table.className = "left";
  for (const number of step.numbers) {
    const row = table.insertRow();
    for (const cell of [number.name, `= ${number.formula.replaceAll("-", "−")}`, `= ${shown(number.value)}`]) row.insertCell().textContent = cell;
  }
  $("numbers").replaceChildren(table);
  $("back").disabled = now === 0;
  $("forward").disabled = now === all.steps.length - 1;
  draw(all, now);
  history.replaceState(null, "", `#${now + 1}`);
}

const answer = await fetch("backprop");
const all = await answer.json();
let now = Math.min(all.steps.length, Math.max(1, parseInt(location.hash.slice(1)) || 1)) - 1;
const go = by => { now = Math.min(all.steps.length - 1, Math.max(0, now + by)); show(all, now); };
$("forward").addEventListener("click", () => go(1));
$("back").addEventListener("click", () => go(-1));
addEventListener("keydown", event => { if (!event.target.closest("[tabindex]")) go({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0); });
show(all, now);
