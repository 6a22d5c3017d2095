/** The tables and lists: calls, operations, partitions, sinks, pauses, configuration. */

import { ago, count, duration, grade, html, percent, rate, sparkline } from "./format.js";

export const FIRST_ROWS = 15;

const KINDS = {
  serving: ["SPAN_KIND_SERVER", "SPAN_KIND_CONSUMER"],
  calling: ["SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER"],
};
const CONNECTIONS = { "": "request", database: "database", messaging_system: "queue", virtual_node: "no spans" };

function number(text, value, extra = "") {
  return html("td", { class: `number ${value ? "" : "zero"} ${extra}`.trim() }, text);
}

function errors(share) {
  return number(percent(share), share, share ? grade(share) : "");
}

/** Rows of the table that says what the map shows. */
export function callRows(edges) {
  return edges.map((edge) => html(
    "tr", {},
    html("td", {}, edge.client),
    html("td", {}, edge.server),
    html("td", { class: "zero" }, CONNECTIONS[edge.connection_type] ?? edge.connection_type),
    number(`${rate(edge.rate)}/s`, edge.rate),
    errors(edge.error_share),
    number(duration(edge.mean_seconds), edge.mean_seconds),
  ));
}

/** The operations that are asked for, in order: `wanted` is {kinds, text, service, key, descending}. */
export function chooseOperations(operations, wanted) {
  const kinds = KINDS[wanted.kinds];
  const text = wanted.text.trim().toLowerCase();
  const found = operations.filter((each) =>
    (!kinds || each.overflow || kinds.includes(each.span_kind)) &&
    (wanted.service === null || each.service === wanted.service) &&
    (!text || `${each.service} ${each.span_name}`.toLowerCase().includes(text)));
  const sign = wanted.descending ? -1 : 1;
  const value = (each) => (wanted.key === "name" ? `${each.service}\n${each.span_name}` : each[wanted.key] ?? -1);
  return found.sort((a, b) => (value(a) < value(b) ? -sign : value(a) > value(b) ? sign : 0));
}

/** Rows of the operations. */
export function operationRows(operations) {
  return operations.map((each) => {
    const kind = each.span_kind.replace("SPAN_KIND_", "").toLowerCase();
    const name = each.overflow ? "everything beyond the limit of series" : each.span_name;
    const cell = html(
      "td", { class: "name", title: `${each.service} ${name}` },
      html("span", { class: "span" }, name || "(no name)"), " ",
      html("span", { class: "service" }, each.service),
      html("span", { class: "kind" }, kind),
    );
    return html(
      "tr", {}, cell,
      html("td", { class: "spark" }, sparkline(each.history, each.failed_history)),
      number(`${rate(each.rate)}/s`, each.rate),
      errors(each.error_share),
      number(duration(each.p50_seconds), each.p50_seconds, "p50"),
      number(duration(each.p95_seconds), each.p95_seconds),
    );
  });
}

/** Rows of the partitions. */
export function partitionRows(partitions) {
  return partitions.map((each) => html(
    "tr", {},
    html("td", {}, String(each.partition)),
    number(count(each.lag_records), each.lag_records),
    number(each.lag_seconds ? duration(each.lag_seconds) : "–", each.lag_seconds),
    number(count(each.next_offset), 0),
    number(each.committed_offset === null ? "–" : count(each.committed_offset), 0),
  ));
}

const STATES = {
  waiting: ["waits for the first tick", ""],
  working: ["working", "good"],
  behind: ["behind", "bad"],
  failing: ["failing", "bad"],
  blocking: ["blocking: the worker waits for it", "bad"],
};

/** The sinks, each with its state, what it took and what went wrong last. */
export function sinkList(sinks, nowMs) {
  return sinks.map((sink) => {
    const [state, mood] = STATES[sink.state] ?? [sink.state, ""];
    const figures = [
      ["sent", count(sink.samples_sent)],
      ["last", sink.sent_ms === null ? "–" : ago(sink.sent_ms, nowMs)],
      ["waiting", sink.ticks_pending ? `${count(sink.samples_pending)} in ${count(sink.ticks_pending)} ticks` : "0"],
      ["sent again", count(sink.samples_retried)],
      ["rejected", reasons(sink.samples_failed)],
      ["dropped", reasons(sink.samples_dropped)],
    ];
    const entry = html(
      "li", {},
      html("div", { class: "head" }, html("b", {}, sink.name), html("span", { class: `pill ${mood}` }, state)),
      html("dl", {}, ...figures.map(([name, text]) => html("div", {}, html("dt", {}, name), html("dd", {}, text)))),
    );
    if (sink.trouble) {
      const { trouble } = sink;
      const whose = trouble.tenant ? ` for ${trouble.tenant}` : "";
      entry.append(html(
        "p", { class: "trouble" },
        `Last trouble, ${ago(trouble.time_ms, nowMs)}${whose}: ${trouble.reason}. `,
        html("code", {}, trouble.text),
      ));
    }
    return entry;
  });
}

function reasons(samples) {
  const parts = Object.entries(samples).map(([reason, number_]) => `${count(number_)} ${reason}`);
  return parts.length ? parts.join(", ") : "0";
}

function lastedSince(sinceMs, untilMs) {
  const seconds = Math.max(1, Math.round((untilMs - sinceMs) / 1000));
  return seconds < 120 ? `${seconds} s` : duration(seconds);
}

const PAUSES = {
  sink: "a sink cannot follow",
  dead_letters: "the dead-letter topic cannot follow",
};

/** Why no records were taken, the newest first. */
export function pauseList(pauses, nowMs) {
  if (!pauses.length) return [html("li", { class: "note" }, "None since the start.")];
  return [...pauses].reverse().map((pause) => {
    const why = PAUSES[pause.reason] ?? pause.reason;
    const lasted = lastedSince(pause.since_ms, pause.until_ms ?? nowMs);
    const text = pause.until_ms === null
      ? `Paused for ${lasted}: ${why}`
      : `${ago(pause.since_ms, nowMs)}, for ${lasted}: ${why}`;
    return html("li", {}, text);
  });
}

/** A tree of plain values as indented lines. */
export function outline(value, indent = "") {
  return Object.entries(value).map(([key, child]) => {
    const name = Array.isArray(value) ? "-" : `${key}:`;
    if (child === null || typeof child !== "object") return `${indent}${name} ${JSON.stringify(child)}\n`;
    const isEmpty = !Object.keys(child).length;
    if (isEmpty) return `${indent}${name} ${Array.isArray(child) ? "[]" : "{}"}\n`;
    if (Array.isArray(child) && child.every((each) => each === null || typeof each !== "object")) {
      return `${indent}${name} ${JSON.stringify(child)}\n`;
    }
    return `${indent}${name}\n${outline(child, `${indent}  `)}`;
  }).join("");
}
