// Windows of a recording on millimetre paper: 25 mm/s and 10 mm/mV, one unit a millimetre.

const MM_PER_SECOND = 25;
const MM_PER_MILLIVOLT = 10;
const ROW = 30;
const SPACE = "http://www.w3.org/2000/svg";

function make(name, attributes, parent) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

function grid(svg, width, height) {
  for (const [step, colour, line] of [[1, "#f7d9d5", 0.1], [5, "#e9aaa3", 0.18]]) {
    let d = "";
    for (let x = 0; x <= width; x += step) d += `M${x} 0V${height}`;
    for (let y = 0; y <= height; y += step) d += `M0 ${y}H${width}`;
    make("path", { d, stroke: colour, "stroke-width": line, fill: "none" }, svg);
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

// One window: `signal` microvolts a lead, `rate` samples a second, `beats` seconds of R peaks;
// `seconds` is how long the paper is.
export function drawWindow(window, rate, leads, seconds, label) {
  const width = seconds * MM_PER_SECOND;
  const height = leads.length * ROW + 5;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  make("rect", { width, height, fill: "#fffdfb" }, svg);
  grid(svg, width, height);
  for (const at of window.beats) {
    const x = at * MM_PER_SECOND;
    make("path", { d: `M${x} 4l-1.2 -2.4h2.4z`, fill: "#1769aa", class: "beat" }, svg);
  }
  window.signal.forEach((values, row) => {
    const middle = 5 + (row + 0.5) * ROW;
    const base = median(values);
    const points = values.map((value, sample) => {
      const y = middle - ((value - base) / 1000) * MM_PER_MILLIVOLT;
      return `${((sample / rate) * MM_PER_SECOND).toFixed(2)} ${Math.min(height, Math.max(0, y)).toFixed(2)}`;
    });
    make("path", {
      d: `M${points.join("L")}`, fill: "none", stroke: "#1a1a1a", "stroke-width": 0.3,
      "stroke-linejoin": "round", class: "trace",
    }, svg);
    if (leads.length > 1) {
      // Above its own row, where no trace is drawn over it.
      const text = make("text", { x: 1, y: middle - ROW / 2 + 3, "font-size": 3.2, fill: "#1a1a1a" }, svg);
      text.textContent = leads[row];
    }
  });
  return svg;
}
