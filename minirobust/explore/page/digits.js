// Images on canvases, bars for probabilities, and drawings that are processed like MNIST's digits.
export const grey = value => [value, value, value];

// From blue through grey to orange; zero must not stand out.
export const diverging = value => {
  const end = value < 0 ? [11, 98, 184] : [217, 119, 6], share = Math.abs(value) / 127;
  return end.map(colour => Math.round(232 + (colour - 232) * share));
};

export function paint(canvas, values, colour) {
  const small = new ImageData(28, 28), data = small.data.fill(255);
  values.forEach((value, i) => { [data[4 * i], data[4 * i + 1], data[4 * i + 2]] = colour(value); });
  if (canvas.width === 28) return canvas.getContext("2d").putImageData(small, 0, 0);
  const buffer = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
  buffer.getContext("2d").putImageData(small, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(buffer, 0, 0, canvas.width, canvas.height);
}

export function showBars(list, probabilities) {
  while (list.children.length < 10) {
    const item = document.createElement("li"), track = document.createElement("i");
    track.append(document.createElement("b"));
    item.append(document.createElement("span"), track, document.createElement("span"));
    list.append(item);
  }
  const most = probabilities.indexOf(Math.max(...probabilities));
  probabilities.forEach((p, digit) => {
    const [name, track, value] = list.children[digit].children;
    name.textContent = digit;
    track.firstChild.style.transform = `scaleX(${p})`;
    value.textContent = p >= 0.9995 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`;
    list.children[digit].className = digit === most ? "most" : "";
  });
}

// MNIST's digits were scaled so that the longer side has 20 pixels, and centred by their mass in 28 × 28.
export function asMnist(canvas) {
  const size = canvas.width, source = canvas.getContext("2d").getImageData(0, 0, size, size).data;
  const ink = (x, y) => source[4 * (y * size + x)];
  let [x0, x1, y0, y1] = [size, -1, size, -1];
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) if (ink(x, y) > 30) [x0, x1, y0, y1] = [Math.min(x0, x), Math.max(x1, x), Math.min(y0, y), Math.max(y1, y)];
  if (x1 < 0) return null;
  const width = x1 - x0 + 1, height = y1 - y0 + 1, scale = 20 / Math.max(width, height);
  const columns = Math.max(1, Math.round(width * scale)), rows = Math.max(1, Math.round(height * scale));
  const small = new Float64Array(columns * rows);
  let [mass, massX, massY] = [0, 0, 0];
  for (let v = 0; v < rows; v++) {
    for (let u = 0; u < columns; u++) { // the mean over the area, because a browser's own scaling would lose thin strokes
      const [left, top] = [x0 + Math.floor(u * width / columns), y0 + Math.floor(v * height / rows)];
      const [right, bottom] = [x0 + Math.ceil((u + 1) * width / columns), y0 + Math.ceil((v + 1) * height / rows)];
      let sum = 0;
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += ink(x, y);
      const value = sum / ((right - left) * (bottom - top));
      small[v * columns + u] = value;
      [mass, massX, massY] = [mass + value, massX + value * u, massY + value * v];
    }
  }
  const pixels = new Uint8Array(784), [dx, dy] = [Math.round(14 - massX / mass), Math.round(14 - massY / mass)];
  for (let v = 0; v < rows; v++) {
    for (let u = 0; u < columns; u++) {
      const [x, y] = [u + dx, v + dy];
      if (x >= 0 && x < 28 && y >= 0 && y < 28) pixels[28 * y + x] = Math.round(small[v * columns + u]);
    }
  }
  return pixels;
}

// Calls `done(pixels)` whenever a stroke ends; returns a function that clears the canvas.
export function drawOn(canvas, done) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  const stroke = event => {
    const next = place(event);
    Object.assign(context, { lineWidth: 22, lineCap: "round", strokeStyle: "#fff" });
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
  };
  canvas.addEventListener("pointerdown", event => {
    if (!canvas.classList.contains("drawing")) return;
    last = place(event);
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  });
  canvas.addEventListener("pointermove", event => { if (last) stroke(event); });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (!last) return;
      last = null;
      const pixels = asMnist(canvas);
      if (pixels) done(pixels);
    });
  }
  return () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    canvas.classList.add("drawing");
  };
}
