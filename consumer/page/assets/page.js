/** Asks the worker what there is, now and then while somebody looks, and shows it. */

import { ago, count, duration, html, percent, rate, sparkline } from "./format.js";
import { ServiceMap, mapNote } from "./map.js";
import {
  FIRST_ROWS, callRows, chooseOperations, operationRows, outline, partitionRows, pauseList, sinkList,
} from "./tables.js";

const ASK_MS = 2000;
const SILENT_MS = 10000;

const at = (id) => document.getElementById(id);
const wanted = { kinds: "serving", text: "", service: null, key: "rate", descending: true };
const map = new ServiceMap(at("map"), (node) => {
  wanted.service = node === null ? null : node.name;
  showChosen(node);
  showOperations();
});

let tenant = decodeURIComponent(location.hash.replace(/^#tenant=/, ""));
let traffic = null;
let worker = null;
let answeredMs = performance.now();
let showAll = false;
let timer = 0;

async function ask(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (!response.ok && response.status !== 404 && response.status !== 503) throw new Error(`HTTP ${response.status}`);
  return response.ok ? response.json() : null;
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await answerOf("api/v1/worker");
    if (answer) {
      worker = answer;
      showWorker();
      if (tenant) await lookAt(tenant);
    }
    showAge();
  } finally {
    clearTimeout(timer);
    timer = setTimeout(look, ASK_MS);
  }
}

/** The answer, or undefined when there is none: what is shown stays then, and its age is told. */
async function answerOf(path) {
  try {
    const answer = await ask(path);
    answeredMs = performance.now();
    return answer;
  } catch {
    return undefined;
  }
}

async function lookAt(name) {
  const answer = await answerOf(`api/v1/traffic?tenant=${encodeURIComponent(name)}`);
  if (answer === undefined || name !== tenant) return;
  if (answer && answer.time_ms === traffic?.time_ms && traffic.tenant === name) return;
  traffic = answer && { ...answer, tenant: name };
  showTraffic();
}

function showWorker() {
  const troubles = worker.sinks.filter((sink) => ["failing", "blocking"].includes(sink.state));
  const phase = at("phase");
  const phases = { assigned: "running", standing_by: "standing by: no partition", starting: "starting", stopping: "stopping" };
  const text = worker.paused.length ? "paused" : phases[worker.phase] ?? worker.phase;
  if (phase.textContent !== text) phase.textContent = text;
  phase.className = `pill ${worker.paused.length ? "bad" : worker.phase === "assigned" ? "good" : ""}`;
  showNotices(troubles);
  showTenants();
  at("sinks").replaceChildren(...sinkList(worker.sinks, worker.now_ms));
  at("partitions").replaceChildren(...partitionRows(worker.partitions));
  const lag = worker.partitions.reduce((sum, each) => sum + each.lag_records, 0);
  at("partitions-note").textContent = worker.partitions.length
    ? `${count(worker.partitions.length)} here, ${count(lag)} records behind`
    : "none here";
  at("pauses").replaceChildren(...pauseList(worker.pauses, worker.now_ms));
  at("about").textContent =
    `spanmill ${worker.version} · decoder ${worker.decoder}, ${worker.encoding} · up ${duration(worker.uptime_seconds)}`;
}

function showNotices(troubles) {
  const texts = troubles.map((sink) =>
    `${sink.name} is ${sink.state}${sink.trouble ? `: ${sink.trouble.reason}. ${sink.trouble.text}` : "."}`);
  if (worker.paused.includes("dead_letters")) texts.push("Paused: the dead-letter topic cannot follow.");
  if (worker.paused.includes("sink") && !troubles.length) texts.push("Paused: a sink cannot follow.");
  const box = at("notices");
  if (box.dataset.texts === JSON.stringify(texts)) return;
  box.dataset.texts = JSON.stringify(texts);
  box.replaceChildren(...texts.map((text) => html("p", { class: "notice" }, text)));
}

function showTenants() {
  const names = worker.tenants.map((each) => each.tenant);
  if (tenant && !names.includes(tenant)) names.push(tenant);
  if (!tenant && names.length) {
    tenant = [...worker.tenants].sort((a, b) => b.rate - a.rate)[0].tenant;
  }
  const select = at("tenant");
  const left = worker.tenants_left_out ? `and ${count(worker.tenants_left_out)} more: #tenant=NAME in the address` : "";
  const shown = JSON.stringify([names, left]);
  if (select.dataset.shown !== shown) {
    select.dataset.shown = shown;
    select.replaceChildren(...names.map((name) => html("option", { value: name }, name)));
    if (left) select.append(html("option", { disabled: "" }, left));
    select.disabled = !names.length;
  }
  select.value = tenant;
}

function showTraffic() {
  const isThere = traffic !== null;
  at("map-empty").hidden = isThere && traffic.edges.length > 0;
  at("map").hidden = !isThere || !traffic.edges.length;
  if (!isThere) {
    at("operations-rows").replaceChildren();
    at("calls-rows").replaceChildren();
    for (const id of ["total-rate", "total-errors", "total-services", "total-series"]) at(id).textContent = "–";
    at("total-trend").replaceChildren();
    return;
  }
  document.title = `${traffic.tenant} · spanmill`;
  const services = new Set(traffic.operations.map((each) => each.service));
  at("total-rate").replaceChildren(rate(traffic.rate), html("small", {}, " /s"));
  at("total-errors").textContent = percent(traffic.error_share);
  at("total-services").textContent = count(services.size);
  at("total-series").textContent = count(traffic.series);
  const { history } = traffic;
  at("total-trend").replaceChildren(sparkline(history.rate, history.failed_rate));
  at("total-trend-title").textContent = `Spans, last ${spanOf(history.times_ms)}`;
  map.show(traffic);
  at("map-note").textContent = `${mapNote(traffic)}; over the last ${duration(traffic.window_seconds)}`;
  at("calls-rows").replaceChildren(...callRows(traffic.edges));
  at("calls-count").textContent = `(${count(traffic.edges.length)})`;
  showOperations();
}

function spanOf(timesMs) {
  return duration(Math.max(1, Math.round((timesMs.at(-1) - timesMs[0]) / 1000)));
}

function showOperations() {
  if (!traffic) return;
  const found = chooseOperations(traffic.operations, wanted);
  const rows = showAll ? found : found.slice(0, FIRST_ROWS);
  at("operations-rows").replaceChildren(...operationRows(rows));
  at("operations-empty").hidden = found.length > 0;
  const more = at("operations-more");
  more.hidden = found.length <= FIRST_ROWS;
  more.textContent = showAll ? "Show fewer" : `Show all ${count(found.length)}`;
  const left = traffic.operations_left_out ? `; and ${count(traffic.operations_left_out)} less busy ones that are not here` : "";
  const whose = wanted.service === null ? "" : ` of ${wanted.service}`;
  at("operations-note").textContent =
    `${count(found.length)}${whose}, over the last ${duration(traffic.window_seconds)}${left}`;
  for (const header of document.querySelectorAll(".operations th[data-key]")) {
    if (header.dataset.key === wanted.key) header.setAttribute("aria-sort", wanted.descending ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
  }
}

function showChosen(node) {
  const box = at("chosen");
  if (node === null) {
    box.replaceChildren();
    return;
  }
  const parts = [];
  if (node.callers.length) parts.push(" · called by ", ...listed(node.callers));
  if (node.calls.length) parts.push(" · calls ", ...listed(node.calls));
  const all = html("button", { type: "button" }, "Show all");
  all.addEventListener("click", () => map.choose(null));
  box.replaceChildren(html("span", {}, html("b", {}, html("bdi", {}, node.name)), ...parts), all);
}

/** Names, each once and with a direction of writing of its own. */
function listed(names) {
  return [...new Set(names)].flatMap((name, index) => [index ? ", " : "", html("bdi", {}, name)]);
}

function showAge() {
  const silentMs = performance.now() - answeredMs;
  const isSilent = silentMs > SILENT_MS;
  at("main").classList.toggle("stale", isSilent);
  const age = at("age");
  if (isSilent) age.textContent = `no answer for ${duration(Math.round(silentMs / 1000))}`;
  else if (traffic && worker) age.textContent = `tick ${ago(traffic.time_ms, worker.now_ms)}`;
}

async function showConfiguration() {
  const box = at("configuration");
  if (!box.open) return;
  try {
    at("configuration-text").textContent = outline(await ask("api/v1/configuration"));
  } catch (error) {
    at("configuration-text").textContent = `The worker did not answer: ${error.message}`;
  }
}

function switchTo(name) {
  tenant = name;
  traffic = null;
  map.choose(null);
  history.replaceState(null, "", `#tenant=${encodeURIComponent(name)}`);
  look();
}

at("tenant").addEventListener("change", (event) => switchTo(event.target.value));
at("filter").addEventListener("input", (event) => {
  wanted.text = event.target.value;
  showOperations();
});
at("kinds").addEventListener("change", (event) => {
  wanted.kinds = event.target.value;
  showOperations();
});
at("operations-more").addEventListener("click", () => {
  showAll = !showAll;
  showOperations();
});
for (const header of document.querySelectorAll(".operations th[data-key]")) {
  header.querySelector("button").addEventListener("click", () => {
    const isSame = wanted.key === header.dataset.key;
    wanted.descending = isSame ? !wanted.descending : header.dataset.key !== "name";
    wanted.key = header.dataset.key;
    showOperations();
  });
}
at("configuration").addEventListener("toggle", showConfiguration);
document.addEventListener("visibilitychange", () => document.hidden || look());
window.addEventListener("hashchange", () => {
  const name = decodeURIComponent(location.hash.replace(/^#tenant=/, ""));
  if (name && name !== tenant) switchTo(name);
});
look();
