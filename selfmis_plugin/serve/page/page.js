// The page: sends what is dropped, and shows what the server says of it. Texts of files are set as
// text only, never as HTML.

import { drawWindow } from "/drawing.js";

const $ = (id) => document.getElementById(id);
let model = null;

function element(name, parent, text = "", classes = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (classes) made.className = classes;
  if (parent) parent.append(made);
  return made;
}

function say(text) {
  $("status").textContent = text;
}

function inWords(label) {
  const known = model.labels.find((one) => one.label === label);
  return known && known.words ? known.words : label;
}

async function errorOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return response.status === 503 ? "the server is busy: try again" : `the server answered ${response.status}`;
  }
}

function bodyOf(files) {
  const said = {
    files: files.map((file) => ({ name: file.name, size: file.size })),
    lead: $("lead").value, unit: $("unit").value, rate: $("rate").value.replace(",", "."),
    age: $("age").value.replace(",", "."), sex: $("sex").value,
  };
  return new Blob([JSON.stringify(said), "\n", ...files]);
}

async function send(path, body) {
  const response = await fetch(path, {
    method: "POST", body, headers: { "Content-Type": "application/octet-stream" },
  });
  if (!response.ok) throw new Error(await errorOf(response));
  return response;
}

function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function showModel() {
  const section = $("model");
  $("person").hidden = !model.age_and_sex;
  element("p", section, `${model.model}: reads lead ${model.leads.join(", ")} in windows of ${model.seconds} s at ${model.rate} Hz.`);
  element("h3", section, "Trained on");
  const list = element("ul", section);
  for (const line of model.trained_on) element("li", list, line);
  element("h3", section, "How to read it");
  const how = element("ul", section);
  element("li", how, "The probability is the mean over the windows that were scored; the range is from the lowest window to the highest.");
  element("li", how, model.threshold.startsWith("above") ? `A marked type is ${model.threshold}.` : model.threshold);
  element("li", how, `A window that is flat, clipped or noisy, or whose beats are alike to less than ${model.quality} is not scored.`);
  for (const line of model.remarks) element("li", how, line);
  element("li", how, `${model.note} selfmis-plugin ${model.version}.`);
}

function head(table, names) {
  const row = element("tr", element("thead", table));
  for (const [name, classes] of names) element("th", row, name, classes).scope = "col";
}

function showSummary(parent, recordings) {
  element("h2", parent, `${recordings.length} recordings`);
  const table = element("table", element("div", parent, "", "scroll"));
  table.id = "summary";
  head(table, [["Recording", ""], ["Windows scored", "number"], ["Above the threshold", ""], ["Highest", ""]]);
  const body = element("tbody", table);
  recordings.forEach((recording, number) => {
    const row = element("tr", body);
    const link = element("a", element("td", row), recording.file);
    link.href = `#recording-${number + 1}`;
    const scored = recording.windows.filter((window) => window.refused === null).length;
    element("td", row, `${scored} of ${recording.windows.length}`, "number");
    const shown = shownLabels(recording, false);
    const above = shown.filter(([, result]) => result.above_threshold);
    const none = shown.some(([, result]) => result.threshold !== null) ? "none" : "no thresholds";
    element("td", row, shown.length ? above.map(([label]) => inWords(label)).join(", ") || none : "not scored");
    const highest = [...shown].sort((a, b) => b[1].probability - a[1].probability)[0];
    element("td", row, highest ? `${inWords(highest[0])} ${highest[1].probability.toFixed(3)}` : "");
    if (above.length) row.className = "above";
  });
}

function shownLabels(recording, all) {
  const entries = Object.entries(recording.labels);
  const types = entries.filter(([label]) => model.labels.some((one) => one.label === label && one.infarction));
  return all || !types.length ? entries : types;
}

function fillTable(body, recording, all) {
  body.replaceChildren();
  for (const [label, result] of shownLabels(recording, all)) {
    const row = element("tr", body, "", result.above_threshold ? "above" : "");
    row.dataset.label = label;
    const name = element("td", row);
    element("span", name, inWords(label), "words");
    if (inWords(label) !== label) element("span", name, label, "code");
    const figure = element("td", row, "", "number");
    element("span", figure, result.probability.toFixed(3), "probability");
    const bar = element("span", element("span", figure, "", "bar"));
    bar.style.width = `${100 * result.probability}%`;
    element("td", row, `${result.low.toFixed(3)}–${result.high.toFixed(3)}`, "number");
    const threshold = result.threshold === null ? "–" : result.threshold.toFixed(3);
    element("td", row, result.above_threshold ? `${threshold} above` : threshold, "number");
  }
}

function showWindows(parent, recording, strip) {
  const all = recording.windows.length;
  element("h3", parent, "Windows as the model was shown them");
  const drawn = strip.windows.length < all ? `The first ${strip.windows.length} of ${all}. ` : "";
  element("p", parent, `${drawn}25 mm/s, 10 mm/mV, each lead about its median, filtered as in training; triangles are beats.`, "remark");
  strip.windows.forEach((window, place) => {
    const about = recording.windows[place];
    const figure = element("div", parent, "", "window");
    const beats = `${window.beats.length} beats`;
    const text = `Window ${place + 1} from ${Number(about.start.toFixed(2))} s: ${beats}, alike to ${about.quality.toFixed(2)} (1 is best)`;
    element("p", figure, text);
    if (about.refused !== null) element("p", figure, `Not scored: ${about.refused}`, "refused");
    const paper = element("div", figure, "", "paper");
    paper.tabIndex = 0;
    paper.append(drawWindow(window, strip.rate, model.leads, model.seconds, text));
  });
}

function showRecording(parent, recording, strip, number) {
  const section = element("section", parent, "", "recording");
  section.id = `recording-${number}`;
  element("h2", section, recording.file);
  const scored = recording.windows.filter((window) => window.refused === null).length;
  element("p", section, `${scored} of ${recording.windows.length} windows scored.`);
  if (recording.sex) {
    const labels = recording.labels_by_age_and_sex.map(inWords).join(", ");
    element("p", section, `Of a ${recording.sex} person of ${recording.age} years: age and sex judge ${labels}, and nothing else.`, "remark");
  }
  for (const note of recording.notes) element("p", section, note, "remark");
  if (scored) {
    const table = element("table", element("div", section, "", "scroll"));
    head(table, [["Type", ""], ["Probability", "number"], ["Range", "number"], ["Threshold", "number"]]);
    const body = element("tbody", table);
    fillTable(body, recording, false);
    const every = Object.keys(recording.labels).length;
    if (shownLabels(recording, false).length < every) {
      const button = element("button", section, `Show all ${every} labels`);
      button.type = "button";
      button.addEventListener("click", () => { fillTable(body, recording, true); button.remove(); });
    }
  } else {
    element("p", section, "No window was good enough to be scored.", "notice");
  }
  showWindows(section, recording, strip);
}

function show(found, body) {
  for (const text of found.answer.not_read) element("li", $("problems"), text);
  const recordings = found.answer.files;
  const results = $("results");
  if (!recordings.length) return;
  const buttons = element("div", results, "", "buttons");
  const json = element("button", buttons, "Download JSON");
  const pdf = element("button", buttons, "Download PDF");
  json.type = pdf.type = "button";
  json.addEventListener("click", () => {
    const text = JSON.stringify(found.answer, null, 2);
    keep(new Blob([text], { type: "application/json" }), "selfmis.json");
  });
  pdf.addEventListener("click", async () => {
    pdf.disabled = true;
    try {
      keep(await (await send("/pdf", body)).blob(), "selfmis.pdf");
    } catch (error) {
      say(`No PDF: ${error.message}`);
    }
    pdf.disabled = false;
  });
  if (recordings.length > 1) showSummary(results, recordings);
  recordings.forEach((recording, place) => showRecording(results, recording, found.strips[place], place + 1));
}

async function ask(given) {
  const files = [...given];
  if (!files.length || !model) return;
  $("problems").replaceChildren();
  $("results").replaceChildren();
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length > model.most_files || size > model.most_bytes) {
    say(`Too much at once: ${model.most_files} files and ${Math.floor(model.most_bytes / 2 ** 20)} MiB are taken together.`);
    return;
  }
  say(files.length > 1 ? `Reading ${files.length} files …` : "Reading …");
  $("files").disabled = true;
  try {
    const body = bodyOf(files);
    const found = await (await send("/predict", body)).json();
    const read = found.answer.files.length;
    show(found, body);
    const failed = found.answer.not_read.length;
    say(`${read} ${read === 1 ? "recording" : "recordings"} read${failed ? `, ${failed} could not be read` : ""}.`);
  } catch (error) {
    say(`Not read: ${error.message}`);
  }
  $("files").disabled = false;
  $("files").value = "";
}

$("asking").addEventListener("submit", (event) => event.preventDefault());
$("files").addEventListener("change", (event) => ask(event.target.files));
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
}
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  ask(event.dataTransfer.files);
});

try {
  const response = await fetch("/model");
  if (!response.ok) throw new Error(await errorOf(response));
  model = await response.json();
  showModel();
} catch (error) {
  say(`The model cannot be asked: ${error.message}`);
}
