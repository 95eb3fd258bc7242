// The page: its sliders, its requests, and what it shows.
import { LINES, drawCurves, drawUnits, fillTable, forgetWidths, percent } from "./charts.js";
import { diverging, drawOn, grey, paint, showBars } from "./digits.js";
import { ask, canDraw, live, state } from "./source.js";

const $ = id => document.getElementById(id);
const bytes = (text, Kind = Uint8Array) => {
  const raw = atob(text), array = new Kind(raw.length);
  for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
  return array;
};
const base64 = values => btoa(String.fromCharCode(...values));
const ATTACKS = [["fgsm", "FGSM"], ["strongest", "Strongest"]];

const view = { t: 0, e: 6, digit: null, pixels: null, label: null }; // the state in the address, and a drawing
let known = null; // the server's state
let grid = new Map(); // all known points, for both charts
const waits = window.waits = { digit: [], wall: [], points: [], first: [], fgsm: [] }; // milliseconds, for the tests

const factor = t => t === 0 ? "T, as trained" : t < 0 ? `T/${2 ** -t}` : `${2 ** t} T`;
const spoken = t => t === 0 ? "as trained" : t < 0 ? `trained temperature divided by ${2 ** -t}` : `${2 ** t} times the trained temperature`;
const epsilon = () => known.epsilons[view.e];
const at = (t, e) => grid.get(`${t} ${e}`);

// Questions: one at a time for each part of the page; a new one cancels the old one

const running = {};

async function question(part, content, take) {
  running[part]?.abort();
  const control = running[part] = new AbortController(), begin = performance.now();
  try {
    let first = true;
    await ask(content, answer => {
      if (control.signal.aborted) return;
      if (first) waits.first.push([part, performance.now() - begin]);
      first = false;
      if (answer.generation === known.generation) take(answer); else follow();
    }, control.signal);
    waits[part]?.push(performance.now() - begin);
    $("problem").textContent = "";
  } catch (error) {
    if (error.name !== "AbortError" && !control.signal.aborted) $("problem").textContent = `No answer: ${error.message}. Is minirobust explore still running?`;
  }
}

function askPoints(part, wanted) {
  const missing = wanted.filter(([t, e]) => !at(t, e)?.certificate);
  running[part]?.abort();
  if (!missing.length) return;
  const begin = performance.now();
  let left = missing.length;
  question(part, { task: "points", points: missing }, answer => {
    if (answer.fgsm && !--left) waits.fgsm.push(performance.now() - begin);
    grid.set(`${answer.t} ${answer.e}`, { ...at(answer.t, answer.e), ...answer });
    redraw();
  });
}

// Ask first for what the reader looks at: the slider's position, then the trained temperature, then the neighbours.
const nearest = (values, now) => [...values].sort((a, b) => Math.abs(a - now) - Math.abs(b - now));
const askOverTemperature = () => askPoints("points", [...new Set([view.t, 0, ...nearest(known.exponents, view.t)])].map(t => [t, view.e]));
const askOverEpsilon = () => askPoints("overEpsilon", nearest(known.epsilons.keys(), view.e).map(e => [view.t, e]));
const askUnits = () => question("units", { task: "units", t: view.t }, showUnits);
const askWall = () => question("wall", { task: "wall", t: view.t, e: view.e }, showWall);
const askDigit = () => question("digit", { task: "digit", digit: view.digit, pixels: base64(view.pixels), label: view.label, t: view.t, e: view.e }, showDigit);

// The charts and the claim

let frame = 0;
function redraw() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    drawOverTemperature();
    drawCurves($("over-epsilon"), known.epsilons.map((_, e) => at(view.t, e)), known.epsilons.map((value, e) => [e, `${value}`]).filter(([e]) => [0, 2, 4, 6, 9].includes(e)),
      view.e, `Robustness over epsilon at temperature ${spoken(view.t)}. ${summary()}`);
    showClaim();
  });
}

function drawOverTemperature() {
  const points = known.exponents.map(t => at(t, view.e)), place = view.t - known.exponents[0];
  const ticks = [[-6, "T/64"], [-3, "T/8"], [0, "T"], [3, "8 T"]].map(([t, text]) => [t - known.exponents[0], text]);
  drawCurves($("over-temperature"), points, ticks, place, `Robustness over temperature at epsilon ${epsilon()}. ${summary()}`, 3 - known.exponents[0]);
  if (!$("table").parentElement.open) return;
  const share = value => value ? `${percent(value[0])} (${Math.round(100 * value[1])} to ${Math.round(100 * value[2])})` : "…";
  fillTable($("table"), [["temperature", ...LINES.map(line => line[1])], ...known.exponents.map((t, i) => [factor(t), ...LINES.map(([name]) => share(points[i]?.[name]))])]);
}

function summary() {
  const point = at(view.t, view.e);
  return LINES.filter(([name]) => point?.[name]).map(([name, text]) => `${text}: ${percent(point[name][0])}`).join(", ");
}

function showClaim() {
  const now = at(view.t, view.e), trained = at(0, view.e);
  for (const [name] of ATTACKS) $(`left-${name}`).textContent = now?.[name] ? percent(now[name][0]) : "…";
  const text = now?.strongest && trained?.strongest ? claim(now, trained) : "Computing …";
  if ($("claim").textContent !== text) $("claim").textContent = text;
}

function claim(now, trained) {
  const [clean, fgsm, strongest] = ["clean", "fgsm", "strongest"].map(name => now[name][0]);
  if (epsilon() === 0) return "At ε = 0 no pixel changes, so there is no attack. Move ε to the right.";
  if (clean < trained.clean[0] - 0.05) return `Such a flat sigmoid breaks the network: even without an attack it reads only ${percent(clean)} correctly.`;
  const [from, before] = [percent(trained.fgsm[0]), percent(trained.strongest[0])];
  if (view.t === 0) return `${from} withstand FGSM, and ${before} withstand the strongest attack. Turn the temperature down, and watch both figures.`;
  if (fgsm - strongest < 0.05) return "Here the two attacks nearly agree: the simple one tells the truth.";
  const seems = fgsm - trained.fgsm[0] > 0.03 ? `FGSM says ${from} → ${percent(fgsm)}, more robust.` : `FGSM hardly sees a change: ${from} → ${percent(fgsm)}.`;
  const truth = strongest - trained.strongest[0] < -0.03 ? `The strongest attack says less: ${before} → ${percent(strongest)}.` : "The strongest attack says: no.";
  return `${seems} ${truth} The network has learned nothing. Saturated units pass almost no gradient, and FGSM follows nothing else.`;
}

// Hidden units

function showUnits(units) {
  drawUnits($("units"), shownUnits = units);
  $("unit-temperature").textContent = units.temperature;
  const names = ["linear", "nonlinear", "saturated"];
  $("shares").hidden = !units.bounds;
  $("regimes").textContent = units.bounds
    ? `${names.map((name, i) => `${percent(units.shares[i])} ${name}`).join(", ")}: linear up to r₁ = ${units.bounds[0]}, saturated from r₂ = ${units.bounds[1]}, on both sides. Solid: the sigmoid. Dashed: its derivative, as a share of its maximum, ${units.slope}.`
    : `The three regimes are undefined here. ${units.undefined}.`;
  if (!units.bounds) return;
  $("shares").replaceChildren(...names.map((name, i) => {
    const part = document.createElement("span");
    part.className = name;
    part.style.width = `${100 * units.shares[i]}%`;
    part.textContent = units.shares[i] > 0.25 ? `${name} ${percent(units.shares[i])}` : "";
    return part;
  }));
  $("shares").setAttribute("aria-label", names.map((name, i) => `${name} ${percent(units.shares[i])}`).join(", "));
}
let shownUnits = null;

// The twenty digits: one tab stop, arrow keys move between them

function buildWall() {
  for (const [name, title] of ATTACKS) {
    const heading = document.createElement("p");
    heading.className = name;
    heading.textContent = title;
    $("wall").append(heading, ...known.labels.map((label, i) => tile(name, i)));
  }
}

function tile(name, i) {
  const button = document.createElement("button");
  button.append(Object.assign(document.createElement("canvas"), { width: 28, height: 28 }), document.createElement("span"));
  Object.assign(button, { type: "button", id: `${name}-${i}`, className: "tile" });
  button.setAttribute("role", "radio");
  button.addEventListener("click", () => choose(i, name));
  button.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], row = { ArrowDown: "strongest", ArrowUp: "fgsm" }[event.key];
    if (!step && !row) return;
    event.preventDefault();
    const next = (i + (step ?? 0) + known.labels.length) % known.labels.length;
    choose(next, row ?? name);
    $(`${row ?? name}-${next}`).focus();
  });
  return button;
}

function showWall(wall) {
  for (const [name, title] of ATTACKS) {
    const images = bytes(wall[name].images);
    known.labels.forEach((label, i) => {
      const button = $(`${name}-${i}`), read = wall[name].read[i], right = read === label;
      paint(button.firstChild, images.subarray(784 * i, 784 * (i + 1)), grey);
      button.lastChild.textContent = `${right ? "✓" : "✗"} ${read}`;
      button.classList.toggle("misread", !right);
      button.setAttribute("aria-label", `a ${label}, after ${title === "FGSM" ? title : "the strongest attack"} ${right ? "still read as" : "misread as"} ${read}`);
    });
  }
}

function markChosen(row = "fgsm") {
  document.querySelectorAll(".tile").forEach(button => {
    const chosen = button.id.endsWith(`-${view.digit}`), one = button.id === `${row}-${view.digit ?? 0}`;
    button.classList.toggle("chosen", chosen);
    button.setAttribute("aria-checked", chosen && one);
    button.tabIndex = one ? 0 : -1;
  });
}

// One digit, or a drawing

function choose(i, row) {
  Object.assign(view, { digit: i, label: known.labels[i], pixels: bytes(known.images).subarray(784 * i, 784 * (i + 1)) });
  $("image").classList.remove("drawing");
  $("drawing-note").hidden = true;
  paint($("image"), view.pixels, grey);
  markChosen(row);
  keep();
  return askDigit();
}

const clear = drawOn($("image"), pixels => {
  Object.assign(view, { digit: null, label: null, pixels });
  markChosen();
  keep();
  askDigit();
});

$("draw").addEventListener("click", () => {
  clear();
  $("drawing-note").hidden = false;
  $("read").textContent = "Draw a digit here";
});

function showDigit(digit) {
  const read = digit.probabilities.indexOf(Math.max(...digit.probabilities)), own = view.label ?? read;
  $("read").textContent = view.label === null ? `Read as ${read}` : `A ${view.label}, read as ${read}`;
  $("image").setAttribute("aria-label", $("read").textContent);
  showBars($("bars-image"), digit.probabilities);
  paint($("gradient"), bytes(digit.gradient, Int8Array), diverging);
  $("largest").textContent = `The largest is ${digit.largest}${digit.zeros > 0.005 ? `; ${percent(digit.zeros)} are exactly zero` : ""}.`;
  for (const [name, title] of ATTACKS) {
    paint($(`image-${name}`), bytes(digit[name].image), grey);
    showBars($(`bars-${name}`), digit[name].probabilities);
    $(`read-${name}`).textContent = digit[name].read === own ? `${title}: ✓ still ${own}` : `${title}: ✗ read as ${digit[name].read}`;
    $(`image-${name}`).setAttribute("aria-label", $(`read-${name}`).textContent);
  }
  if (digit.passes) fillTable($("passes"), [["layer", "array", "shape", "min", "max", "mean", "zeros"], ...digit.passes]);
}

// The sliders and the address

function say() {
  $("temperature-value").textContent = factor(view.t);
  $("epsilon-value").textContent = epsilon();
  $("temperature").setAttribute("aria-valuetext", spoken(view.t));
  $("epsilon").setAttribute("aria-valuetext", `epsilon ${epsilon()}`);
  document.querySelectorAll(".epsilon").forEach(node => { node.textContent = epsilon(); });
  document.querySelectorAll(".temperature").forEach(node => { node.textContent = factor(view.t); });
  $("code").textContent = known.code.replaceAll("RATIO", view.t < 0 ? `1 / ${2 ** -view.t}` : 2 ** view.t).replaceAll("EPSILON", epsilon());
}

const keep = () => history.replaceState(null, "", `#t=${view.t}&e=${view.e}${view.digit === null ? "" : `&digit=${view.digit}`}`);

function restore() {
  const address = new URLSearchParams(location.hash.slice(1));
  const read = (name, low, high, otherwise) => /^-?\d{1,3}$/.test(address.get(name) ?? "") ? Math.min(high, Math.max(low, +address.get(name))) : otherwise;
  view.t = read("t", known.exponents[0], known.exponents.at(-1), 0);
  view.e = read("e", 0, known.epsilons.length - 1, 6);
  view.digit = read("digit", 0, known.labels.length - 1, known.default);
}

let pause = 0, moves = 0;
function moved() {
  for (const part of ["wall", "points", "overEpsilon"]) running[part]?.abort(); // the digit must not wait for them
  const move = ++moves;
  if (view.pixels) askDigit().then(() => move === moves && askWall());
  askUnits();
  say();
  redraw();
  keep();
  clearTimeout(pause); // the curves can wait until the slider stops
  pause = setTimeout(() => { askOverTemperature(); askOverEpsilon(); }, 80);
}

function setSliders() {
  Object.assign($("temperature"), { min: known.exponents[0], max: known.exponents.at(-1), value: view.t });
  Object.assign($("epsilon"), { min: 0, max: known.epsilons.length - 1, value: view.e });
}

for (const [id, name] of [["temperature", "t"], ["epsilon", "e"]]) {
  $(id).addEventListener("input", event => { stop(); view[name] = +event.target.value; moved(); });
}

// A hidden tab computes no curves, because browsers open only six connections to one server.
document.addEventListener("visibilitychange", () => {
  if (!known) return;
  if (!document.hidden) return moved();
  for (const part of ["points", "overEpsilon"]) running[part]?.abort();
});

let playing = 0;
const stop = () => { clearInterval(playing); playing = 0; $("play").textContent = "▶ Turn it down for me"; };
$("play").addEventListener("click", () => {
  if (playing) return stop();
  $("play").textContent = "⏸ Stop";
  const go = t => { view.t = $("temperature").value = t; moved(); };
  go(0);
  playing = setInterval(() => view.t > known.exponents[0] ? go(view.t - 1) : stop(), 900);
});

addEventListener("hashchange", () => { restore(); setSliders(); moved(); choose(view.digit); });
$("table").parentElement.addEventListener("toggle", () => known && redraw());
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (!known || width === contentRect.width) return;
  width = contentRect.width;
  forgetWidths();
  redraw();
  if (shownUnits) drawUnits($("units"), shownUnits);
}).observe(document.body);

// The network, which may be training

async function follow() {
  let fresh;
  try { fresh = await state(); } catch (error) { $("problem").textContent = `No answer: ${error.message}. Is minirobust explore still running?`; return; }
  const first = !known, changed = known?.generation !== fresh.generation;
  known = fresh;
  const { epoch, of, accuracy, stopped } = known.progress, training = !stopped && epoch < of;
  $("network").textContent = stopped ? `Training stopped${epoch ? ` after epoch ${epoch} of ${of}` : ""}: ${stopped}.`
    : epoch ? `Epoch ${epoch} of ${of} on the shipped digits: ${percent(accuracy)} of the test digits are read correctly.` : known.name;
  $("train").textContent = epoch ? "Back to the first network" : "Train one on the shipped digits";
  $("samples").textContent = known.samples;
  if (first) {
    restore();
    setSliders();
    buildWall();
    view.t = +$("temperature").value;
  }
  if (changed) {
    grid = new Map();
    say();
    redraw();
    if (first || view.digit !== null) await choose(view.digit ?? known.default); else await askDigit();
    window.interactive ??= performance.now();
    askWall();
    askUnits();
    askOverTemperature();
    if (!training) askOverEpsilon();
  }
  if (training) setTimeout(follow, 300);
}

$("train").hidden = $("steps").hidden = !live;
$("draw").hidden = !canDraw;
if (!live) $("drawing-note").textContent += " The browser attacks it; here the strongest attack is the union of FGSM and one smoothed attack.";
$("train").addEventListener("click", async () => {
  await ask({ task: known.progress.epoch ? "reset" : "train" }, () => {});
  const before = known.generation;
  for (let tries = 0; tries < 40 && known.generation === before; tries++) { await new Promise(done => setTimeout(done, 150)); await follow(); }
});
follow();
