/**
 * The service map: nodes and edges at the layers and places that the worker gives.
 *
 * Elements are made when the shape of the graph changes and changed in place otherwise, so
 * that focus and hover survive a tick.
 */

import { count, cut, duration, grade, percent, rate, svg } from "./format.js";

const MARGIN = { x: 78, narrow: 52, top: 26, bottom: 46 };
const NARROW = 560;
const ROOM = 64;
const LAYER = { narrow: 98, least: 116, most: 210 };
const RADIUS = { least: 7, most: 17 };
const WIDTH = { least: 1.2, most: 7, crowded: 4 };
const CROWD = 60;
const LETTER = 6.4;

const keyOf = (kind, name) => `${kind}\n${name}`;
const clientOf = (edge) => keyOf(edge.client_kind, edge.client);
const serverOf = (edge) => keyOf(edge.server_kind, edge.server);
const edgeKey = (edge) => `${clientOf(edge)}\n${serverOf(edge)}\n${edge.connection_type}`;

export class ServiceMap {
  /** Draws into `box`; `onChoose` hears the chosen node (or null), after each change. */
  constructor(box, onChoose) {
    this.box = box;
    this.onChoose = onChoose;
    this.chosen = null;
    this.entered = null;
    this.shape = "";
    this.nodes = new Map();
    this.links = new Map();
    box.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resized()).observe(box);
  }

  /** Show a tenant's traffic. */
  show(traffic) {
    this.traffic = traffic;
    const shape = JSON.stringify([
      traffic.nodes.map((node) => [node.kind, node.name, node.layer, node.place]),
      traffic.edges.map((edge) => [edgeKey(edge), edge.path]).sort(),
      this.#step(),
    ]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.#build();
    }
    this.#update();
  }

  /** Keep to one node and its neighbours, or to none. */
  choose(key) {
    this.chosen = key !== null && this.nodes.has(key) ? key : null;
    this.#update();
    this.onChoose(this.chosen === null ? null : this.#described(this.chosen));
  }

  #step() {
    const layers = Math.max(this.traffic.layers - 1, 1);
    const isNarrow = this.box.clientWidth < NARROW;
    this.margin = isNarrow ? MARGIN.narrow : MARGIN.x;
    const room = (this.box.clientWidth - 2 * this.margin) / layers;
    return Math.round(Math.min(LAYER.most, Math.max(isNarrow ? LAYER.narrow : LAYER.least, room)));
  }

  #resized() {
    if (this.traffic && this.box.clientWidth) this.show(this.traffic);
  }

  #point([layer, place]) {
    return [this.margin + layer * this.step, MARGIN.top + place * ROOM];
  }

  #build() {
    const { traffic } = this;
    this.step = this.#step();
    const focused = document.activeElement?.closest?.(".node")?.dataset.key;
    const width = 2 * this.margin + (traffic.layers - 1) * this.step;
    const height = MARGIN.top + MARGIN.bottom + (traffic.rooms - 1) * ROOM;
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Nodes of the service map" });
    this.links = new Map();
    this.nodes = new Map();
    const lines = svg("g", {});
    const tops = svg("g", {});
    for (const edge of traffic.edges) {
      const link = { line: svg("path", { class: "edge" }), tip: svg("path", { class: "tip" }), title: svg("title") };
      link.group = svg("g", { class: "link" }, link.title, link.line, link.tip);
      if (edge.connection_type === "messaging_system") {
        link.glyph = svg("path", { class: "glyph", d: "M-8-5h16v10h-16zM-4-5v10M0-5v10M4-5v10" });
        link.group.append(link.glyph);
      }
      this.links.set(edgeKey(edge), link);
      lines.append(link.group);
    }
    for (const node of [...traffic.nodes].sort((a, b) => a.layer - b.layer || a.place - b.place)) {
      tops.append(this.#node(node));
    }
    root.append(lines, tops);
    this.box.replaceChildren(root);
    if (this.chosen !== null && !this.nodes.has(this.chosen)) this.choose(null);
    const first = this.nodes.get(this.chosen) ?? this.nodes.get(focused) ?? this.nodes.values().next().value;
    first?.group.setAttribute("tabindex", "0");
    if (focused && this.nodes.has(focused)) this.nodes.get(focused).group.focus({ preventScroll: true });
  }

  #node(node) {
    const key = keyOf(node.kind, node.name);
    const [x, y] = this.#point([node.layer, node.place]);
    const shapes = node.kind === "database"
      ? { body: svg("path"), rim: svg("path", { class: "rim" }) }
      : { body: svg("circle") };
    const made = {
      ...shapes,
      halo: svg("circle", { class: "halo" }),
      name: svg("text", { class: "name" }, cut(node.name, Math.min(24, Math.floor(this.step / LETTER)))),
      figures: svg("text", { class: "figures" }),
      title: svg("title"),
    };
    made.group = svg(
      "g",
      { role: "button", tabindex: "-1", "data-key": key, "data-name": node.name, transform: `translate(${x} ${y})` },
      made.title, made.halo, ...Object.values(shapes), made.name, made.figures,
    );
    made.group.addEventListener("click", () => {
      made.group.focus({ preventScroll: true });
      this.choose(this.chosen === key ? null : key);
    });
    made.group.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") this.#enter(key);
    });
    made.group.addEventListener("pointerleave", () => this.#enter(null));
    this.nodes.set(key, made);
    return made.group;
  }

  #update() {
    const { traffic } = this;
    if (!traffic) return;
    const busiest = Math.max(...traffic.nodes.map((node) => node.rate), 1e-9);
    const radii = new Map();
    for (const node of traffic.nodes) {
      const key = keyOf(node.kind, node.name);
      const radius = RADIUS.least + (RADIUS.most - RADIUS.least) * Math.sqrt(node.rate / busiest);
      radii.set(key, radius);
      this.#updateNode(this.nodes.get(key), node, radius, this.chosen === key);
    }
    const most = traffic.edges.length > CROWD ? WIDTH.crowded : WIDTH.most;
    const widest = Math.max(...traffic.edges.map((edge) => edge.rate), 1e-9);
    for (const edge of traffic.edges) {
      const width = WIDTH.least + (most - WIDTH.least) * Math.sqrt(edge.rate / widest);
      this.#updateLink(this.links.get(edgeKey(edge)), edge, width, radii);
    }
    this.#fade();
  }

  #updateNode(made, node, radius, isChosen) {
    const r = radius.toFixed(1);
    const virtual = node.kind === "virtual" ? " virtual" : "";
    made.group.setAttribute("class", `node ${grade(node.error_share)}`);
    made.group.setAttribute("aria-pressed", String(isChosen));
    made.body.setAttribute("class", `body${virtual}`);
    if (made.rim) {
      const [w, h] = [radius * 0.92, radius * 0.9];
      const lid = radius * 0.42;
      made.body.setAttribute("d", `M${-w} ${-h}C${-w} ${-h - lid} ${w} ${-h - lid} ${w} ${-h}V${h}C${w} ${h + lid} ${-w} ${h + lid} ${-w} ${h}Z`);
      made.rim.setAttribute("d", `M${-w} ${-h}C${-w} ${-h + lid} ${w} ${-h + lid} ${w} ${-h}`);
    } else {
      made.body.setAttribute("r", r);
    }
    made.halo.setAttribute("r", (radius + 5).toFixed(1));
    const foot = made.rim ? radius * 1.22 : radius;
    made.name.setAttribute("y", (foot + 14).toFixed(1));
    made.figures.setAttribute("y", (foot + 26).toFixed(1));
    const parts = [svg("tspan", {}, `${rate(node.rate)}/s`)];
    if (node.error_share) parts.push(svg("tspan", { class: grade(node.error_share), dx: 5 }, percent(node.error_share)));
    made.figures.replaceChildren(...parts);
    const kind = { service: "service", database: "database", virtual: "sends no spans" }[node.kind];
    const label = `${node.name}, ${kind}: ${rate(node.rate)} requests per second, ${percent(node.error_share)} with an error`;
    made.title.textContent = label;
    made.group.setAttribute("aria-label", label);
  }

  #updateLink(link, edge, width, radii) {
    const graded = grade(edge.error_share);
    const isQueue = edge.connection_type === "messaging_system";
    link.line.setAttribute("class", `edge ${graded}${isQueue ? " queue" : ""}`);
    link.line.setAttribute("stroke-width", width.toFixed(2));
    link.tip.setAttribute("class", `tip ${graded}`);
    const size = 4 + width;
    const { d, end, angle, middle } = this.#route(edge, radii, size);
    link.line.setAttribute("d", d);
    link.tip.setAttribute("d", `M0 0L${-size} ${-size * 0.6}L${-size} ${size * 0.6}Z`);
    link.tip.setAttribute("transform", `translate(${end}) rotate(${angle})`);
    link.glyph?.setAttribute("transform", `translate(${middle})`);
    link.title.textContent =
      `${edge.client} → ${edge.server}: ${rate(edge.rate)}/s, ${percent(edge.error_share)} errors, mean ${duration(edge.mean_seconds)}`;
  }

  /** A curve through the edge's points, level where it leaves and arrives. */
  #route(edge, radii, tip) {
    const [from, to] = [radii.get(clientOf(edge)), radii.get(serverOf(edge))];
    if (edge.path.length < 2) {
      const node = this.traffic.nodes.find((each) => keyOf(each.kind, each.name) === clientOf(edge));
      const [x, y] = this.#point([node.layer, node.place]);
      const top = y - from;
      const d = `M${x - 5} ${top}C${x - 26} ${top - 30} ${x + 26} ${top - 30} ${x + 6} ${top - 3}`;
      return { d, end: `${x + 5} ${top}`, angle: 115, middle: `${x} ${top - 22}` };
    }
    const points = edge.path.map((point) => this.#point(point));
    const way = Math.sign(points.at(-1)[0] - points[0][0]) || 1;
    const drop = way < 0 ? 7 : 0;
    points[0] = [points[0][0] + way * (from + 2), points[0][1] + drop];
    const end = [points.at(-1)[0] - way * (to + 3), points.at(-1)[1] + drop];
    points[points.length - 1] = [end[0] - way * (tip - 1), end[1]];
    let d = `M${points[0]}`;
    for (let index = 1; index < points.length; index += 1) {
      const [[x0, y0], [x1, y1]] = [points[index - 1], points[index]];
      const bend = (x1 - x0) * 0.45;
      d += `C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
    }
    const half = Math.floor((points.length - 1) / 2);
    const [a, b] = [points[half], points[half + 1]];
    return { d, end: end.join(" "), angle: way < 0 ? 180 : 0, middle: `${(a[0] + b[0]) / 2} ${(a[1] + b[1]) / 2}` };
  }

  #enter(key) {
    this.entered = key;
    this.#fade();
  }

  #fade() {
    const key = this.entered ?? this.chosen;
    this.box.classList.toggle("focused", key !== null);
    const near = new Set([key]);
    for (const edge of this.traffic.edges) {
      const ends = [clientOf(edge), serverOf(edge)];
      const isNear = ends.includes(key);
      if (isNear) ends.forEach((end) => near.add(end));
      this.links.get(edgeKey(edge)).group.classList.toggle("faded", key !== null && !isNear);
    }
    for (const [name, made] of this.nodes) made.group.classList.toggle("faded", key !== null && !near.has(name));
  }

  #described(key) {
    const node = this.traffic.nodes.find((each) => keyOf(each.kind, each.name) === key);
    const callers = this.traffic.edges.filter((edge) => serverOf(edge) === key);
    const calls = this.traffic.edges.filter((edge) => clientOf(edge) === key);
    return { ...node, callers: callers.map((edge) => edge.client), calls: calls.map((edge) => edge.server) };
  }

  #key(event) {
    const key = event.target.closest?.(".node")?.dataset.key;
    if (event.key === "Escape") return this.choose(null);
    if (key === undefined || event.altKey || event.ctrlKey || event.metaKey) return undefined;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.choose(this.chosen === key ? null : key);
    }
    const next = this.#neighbour(key, event.key);
    if (next === undefined) return undefined;
    event.preventDefault();
    return this.#focus(key, next);
  }

  #neighbour(key, pressed) {
    const { edges, nodes } = this.traffic;
    const keys = [...this.nodes.keys()];
    const busiest = (found, end) => found.map(end).find((each) => each !== key);
    const layerOf = (name) => nodes.find((node) => keyOf(node.kind, node.name) === name).layer;
    const inLayer = keys.filter((each) => layerOf(each) === layerOf(key));
    switch (pressed) {
      case "ArrowRight": return busiest(edges.filter((edge) => clientOf(edge) === key), serverOf);
      case "ArrowLeft": return busiest(edges.filter((edge) => serverOf(edge) === key), clientOf);
      case "ArrowDown": return inLayer[inLayer.indexOf(key) + 1];
      case "ArrowUp": return inLayer[inLayer.indexOf(key) - 1];
      case "Home": return keys[0];
      case "End": return keys.at(-1);
      default: return undefined;
    }
  }

  #focus(from, to) {
    this.nodes.get(from).group.setAttribute("tabindex", "-1");
    const { group } = this.nodes.get(to);
    group.setAttribute("tabindex", "0");
    group.focus({ preventScroll: true });
    group.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

/** What stands under the title: how much is drawn, and how much is not. */
export function mapNote(traffic) {
  const drawn = `${count(traffic.nodes.length)} nodes, ${count(traffic.edges.length)} edges`;
  return traffic.edges_left_out ? `${drawn}, the busiest; and ${count(traffic.edges_left_out)} more edges` : drawn;
}
