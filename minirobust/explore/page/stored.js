// The source of an exported page's numbers: the page itself, which contains them.  Only the results for a drawing are
// computed here, with the network's weights.
export const live = false;

const STORED = JSON.parse(document.getElementById("stored").textContent);

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

const ANSWERS = JSON.parse(new TextDecoder().decode(await unpack(STORED.answers)));
const ARRAYS = {
  signs: new Int8Array(await unpack(STORED.signs)),
  gradients: new Int8Array(await unpack(STORED.gradients)),
  deltas: new Int8Array(await unpack(STORED.deltas)),
  probabilities: new Uint16Array(await unpack(STORED.probabilities)),
  weights: STORED.weights && Float32Array.from(new Uint16Array(await unpack(STORED.weights)), fromHalf),
};
const IMAGES = Uint8Array.from(atob(ANSWERS.state.images), c => c.charCodeAt(0));
const { exponents: EXPONENTS, epsilons: EPSILONS, labels: LABELS } = ANSWERS.state;
const STEPS = 40;

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * fraction / 1024);
}

export const canDraw = Boolean(STORED.weights);
export const state = async () => ANSWERS.state;

// Answers the same questions as the server.
export async function ask(question, take) {
  await null; // an answer never arrives before the caller waits for it
  for (const answer of answersTo(question)) take({ ...answer, generation: ANSWERS.state.generation });
}

function answersTo({ task, points, t, e, digit, pixels }) {
  const row = t - EXPONENTS[0];
  if (task === "points") return points.map(([t, e]) => ANSWERS.points[(t - EXPONENTS[0]) * EPSILONS.length + e]);
  if (task === "units") return [ANSWERS.units[row]];
  if (task === "wall") return [storedWall(row, e)];
  if (task === "digit") return [digit === null ? drawn(Uint8Array.from(atob(pixels), c => c.charCodeAt(0)), t, EPSILONS[e]) : storedDigit(digit, row, e)];
  return [];
}

const inBase64 = values => btoa(String.fromCharCode(...values));
const toGrey = x => Uint8Array.from(x, value => Math.round(255 * Math.min(1, Math.max(0, value))));

// The image after FGSM, and after the strongest attack, whose changes are stored as multiples of a step.
function storedImages(digit, row, e) {
  const fgsm = new Uint8Array(784), strongest = new Uint8Array(784);
  for (let i = 0; i < 784; i++) {
    const x = IMAGES[784 * digit + i] / 255;
    const delta = ARRAYS.deltas[((row * EPSILONS.length + e) * LABELS.length + digit) * 784 + i] / ANSWERS.levels;
    [fgsm[i]] = toGrey([x + EPSILONS[e] * ARRAYS.signs[(row * LABELS.length + digit) * 784 + i]]);
    [strongest[i]] = toGrey([x + EPSILONS[e] * delta]);
  }
  return { fgsm, strongest };
}

function storedWall(row, e) {
  const all = { fgsm: new Uint8Array(784 * LABELS.length), strongest: new Uint8Array(784 * LABELS.length) };
  LABELS.forEach((_, digit) => {
    for (const [name, image] of Object.entries(storedImages(digit, row, e))) all[name].set(image, 784 * digit);
  });
  const [fgsm, strongest] = ANSWERS.read[row * EPSILONS.length + e];
  return { fgsm: { images: inBase64(all.fgsm), read: fgsm }, strongest: { images: inBase64(all.strongest), read: strongest } };
}

function storedDigit(digit, row, e) {
  const images = storedImages(digit, row, e), read = ANSWERS.read[row * EPSILONS.length + e];
  const place = row * (1 + 2 * EPSILONS.length); // for every T: without attack, then FGSM and the strongest for every ε
  const probabilities = which => [...ARRAYS.probabilities.subarray(((place + which) * LABELS.length + digit) * 10).subarray(0, 10)].map(p => p / 65535);
  return {
    probabilities: probabilities(0),
    gradient: inBase64(new Uint8Array(ARRAYS.gradients.buffer, (row * LABELS.length + digit) * 784, 784)),
    largest: ANSWERS.largest[row][digit],
    zeros: ANSWERS.zeros[row][digit],
    passes: ANSWERS.passes[row][digit],
    fgsm: { image: inBase64(images.fgsm), probabilities: probabilities(1 + 2 * e), read: read[0][digit] },
    strongest: { image: inBase64(images.strongest), probabilities: probabilities(2 + 2 * e), read: read[1][digit] },
  };
}

// A drawing: the forward and the backward pass of the network 784 - 256 - 10, computed like the library's layers

const HIDDEN = 256, CLASSES = 10, W1 = 0, B1 = 784 * HIDDEN, W2 = B1 + HIDDEN, B2 = W2 + HIDDEN * CLASSES;

function forwardPass(x, T) {
  const w = ARRAYS.weights, net = w.slice(B1, W2), z = [...w.subarray(B2)];
  for (let i = 0; i < 784; i++) if (x[i]) for (let j = 0; j < HIDDEN; j++) net[j] += x[i] * w[W1 + i * HIDDEN + j];
  for (let j = 0; j < HIDDEN; j++) {
    const h = 1 / (1 + Math.exp(-net[j] / T));
    for (let k = 0; k < CLASSES; k++) z[k] += h * w[W2 + j * CLASSES + k];
  }
  const read = z.indexOf(Math.max(...z)), powers = z.map(value => Math.exp(value - z[read])), sum = powers.reduce((a, b) => a + b);
  return { net, z, read, p: powers.map(power => power / sum) };
}

function backwardPass(net, gradZ, T) {
  const w = ARRAYS.weights, gradX = new Float64Array(784), gradNet = new Float64Array(HIDDEN);
  for (let j = 0; j < HIDDEN; j++) {
    const e = Math.exp(-Math.abs(net[j]) / T);
    let gradH = 0;
    for (let k = 0; k < CLASSES; k++) gradH += gradZ[k] * w[W2 + j * CLASSES + k];
    gradNet[j] = gradH * e / (T * (1 + e) ** 2);
  }
  for (let i = 0; i < 784; i++) for (let j = 0; j < HIDDEN; j++) gradX[i] += gradNet[j] * w[W1 + i * HIDDEN + j];
  return gradX;
}

const entropyGradient = ({ p }, y) => p.map((value, k) => k === y ? -p.reduce((sum, q, j) => j === y ? sum : sum + q, 0) : value);

function marginGradient({ z }, y) {
  const other = z.reduce((best, value, k) => k !== y && (best < 0 || value > z[best]) ? k : best, -1);
  return z.map((_, k) => (k === other) - (k === y));
}

function drawn(pixels, t, epsilon) {
  const T = ANSWERS.temperature * 2 ** t, x = Float64Array.from(pixels, value => value / 255);
  const clean = forwardPass(x, T), y = clean.read, gradient = backwardPass(clean.net, entropyGradient(clean, y), T);
  const largest = gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  const fgsm = x.map((value, i) => Math.min(1, Math.max(0, value + epsilon * Math.sign(gradient[i]))));
  const after = forwardPass(fgsm, T), best = after.read === y ? smoothedAttack(x, y, T, epsilon) : fgsm, end = forwardPass(best, T);
  return {
    probabilities: clean.p,
    gradient: inBase64(new Uint8Array(Int8Array.from(gradient, g => Math.round(127 * g / (largest || 1))).buffer)),
    largest: largest.toPrecision(2),
    zeros: gradient.filter(g => g === 0).length / 784,
    fgsm: { image: inBase64(toGrey(fgsm)), probabilities: after.p, read: after.read },
    strongest: { image: inBase64(toGrey(best)), probabilities: end.p, read: end.read },
  };
}

// PGD on the margin; the sigmoid's derivative is taken at 64 T, then at lower temperatures, down to T.
function smoothedAttack(x, y, T, epsilon) {
  let image = x.slice();
  for (let k = 0; k < STEPS; k++) {
    const now = forwardPass(image, T);
    if (now.read !== y) break;
    const gradient = backwardPass(now.net, marginGradient(now, y), T * 64 ** (1 - k / (STEPS - 1)));
    image = image.map((value, i) => Math.min(1, x[i] + epsilon, Math.max(0, x[i] - epsilon, value + 2.5 * epsilon / STEPS * Math.sign(gradient[i]))));
  }
  return image;
}
