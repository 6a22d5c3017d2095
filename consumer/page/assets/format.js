/** Numbers and times for people, and elements from plain values: texts are never markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; attributes that are null are left out, children are elements or texts. */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, likewise. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Three digits that count: 0.18, 5.1, 92, 12,400. */
export function rate(value) {
  if (value === null) return "–";
  if (value === 0) return "0";
  if (value < 0.01) return "<0.01";
  const digits = value < 1 ? 2 : value < 10 ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A share as per cent. */
export function percent(share) {
  if (share === null) return "–";
  if (share === 0) return "0 %";
  if (share < 0.0001) return "<0.01 %";
  const value = share * 100;
  return `${value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0)} %`;
}

/** A duration: 890 µs, 2.1 ms, 340 ms, 1.25 s, 3 min. */
export function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 0.01) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(0)} ms`;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86400).toFixed(0)} days`;
}

/** How long ago, in whole units: now, 3 s ago, 5 min ago. */
export function ago(timeMs, nowMs) {
  const seconds = Math.max(0, Math.round((nowMs - timeMs) / 1000));
  if (seconds === 0) return "now";
  return seconds < 120 ? `${seconds} s ago` : `${duration(seconds)} ago`;
}

/** A whole number. */
export function count(value) {
  return value.toLocaleString("en");
}

/** How bad an error share is: the class that colours it. */
export function grade(share) {
  if (!share) return "calm";
  if (share < 0.01) return "low";
  return share < 0.05 ? "warn" : "bad";
}

/** A text of at most so many characters. */
export function cut(text, most) {
  const letters = Array.from(text);
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

/**
 * A small graph of a history (oldest first, null where nothing is known) with errors under it.
 * Always from 0, so that flat is flat; a short history does not fill the width.
 */
export function sparkline(history, failed) {
  const points = Math.max(20, history.length);
  const [width, height] = [128, 26];
  const most = Math.max(...history.map((value) => value ?? 0), 1e-9);
  const x = (index) => ((points - history.length + index) / (points - 1)) * width;
  const y = (value) => height - 1.5 - (value / most) * (height - 4);
  const parts = [];
  let run = [];
  for (let index = 0; index <= history.length; index += 1) {
    const value = history[index] ?? null;
    if (value !== null) run.push([x(index), y(value)]);
    else if (run.length) {
      parts.push(run);
      run = [];
    }
  }
  const root = svg("svg", {
    class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  for (const each of parts) {
    const line = each.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L");
    const [first, last] = [each[0][0].toFixed(1), each.at(-1)[0].toFixed(1)];
    root.append(svg("path", { class: "area", d: `M${first} ${height}L${line}L${last} ${height}Z` }));
    root.append(svg("path", { class: "line", d: `M${line}` }));
  }
  const step = width / (points - 1);
  failed.forEach((value, index) => {
    if (!value) return;
    const size = Math.max(2, (value / most) * (height - 4));
    root.append(svg("rect", {
      class: "errors", x: (x(index) - step * 0.4).toFixed(1), y: (height - size).toFixed(1),
      width: (step * 0.8).toFixed(1), height: size.toFixed(1),
    }));
  });
  return root;
}
