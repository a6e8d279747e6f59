// The cluster: the bridge's own picture, and on it the VSIs at their ports, links that are down, and moves.

import { byId, coalesced, drawn, element, setText } from "./dom.js";
import { svg } from "./rest.js";
import { stageOf } from "./store.js";
import { counted } from "./words.js";

//: As in the picture that the bridge draws: VSIs of a port that are shown, and the space between two.
const [MOST, STEP, RADIUS] = [6, 12, 4.5];
//: Around the cluster; and how many times its own size the picture of a small one grows to.
const [MARGIN, LARGEST] = [10, 1.6];

export class Picture {
  constructor(store, { chooseSwitch, choosePort }) {
    this.store = store;
    this.place = byId("picture");
    this.root = null;
    this.nodes = new Map();
    this.switches = new Map();
    this.crowds = new Map();
    this.stale = new Set();
    //: The status is newer than what is drawn of it.
    this.outdated = true;
    this.draw = coalesced(() => this.redraw());
    store.on("attached", (ports) => {
      ports.forEach((port) => this.stale.add(port));
      this.draw();
    });
    store.on("status", () => {
      this.outdated = true;
      this.draw();
    });
    this.zoom();
    this.place.addEventListener("click", (event) => {
      const group = event.target.closest("[data-port], [data-switch]");
      if (group?.dataset.switch) chooseSwitch(group.dataset.switch);
      else if (group) choosePort(store.portName(group.dataset.port));
    });
  }

  zoom() {
    const [fit, whole] = [byId("zoom-fit"), byId("zoom-whole")];
    const choose = (isWhole) => {
      this.place.classList.toggle("whole", isWhole);
      whole.setAttribute("aria-pressed", isWhole);
      fit.setAttribute("aria-pressed", !isWhole);
    };
    fit.addEventListener("click", () => choose(false));
    whole.addEventListener("click", () => choose(true));
  }

  /** Take the picture from the bridge; its styles are those of this page, in light and dark. */
  async load() {
    const root = document.importNode(await svg("/evb/picture.svg"), true);
    root.querySelectorAll("style, script, svg > title, svg > rect, .title, .summary").forEach((node) => node.remove());
    root.setAttribute("role", "img");
    byId("legend").replaceChildren(...[...root.querySelectorAll("svg > g[transform]")].map(explained));
    this.moves = drawn("g", { class: "moves" });
    root.append(this.moves);
    this.root = root;
    this.nodes = new Map([...root.querySelectorAll("[data-port]")].map((group) => [group.dataset.port, this.node(group)]));
    this.switches = new Map([...root.querySelectorAll("[data-switch]")].map((group) => [group.dataset.switch, group]));
    this.links = [...root.querySelectorAll("[data-ends]")].map((group) => [group.dataset.ends, group.querySelector("path")]);
    this.place.replaceChildren(root);
    crop(root);
    this.stale = new Set(this.nodes.keys());
    this.outdated = true;
    this.redraw();
  }

  node(group) {
    const rect = group.querySelector("rect");
    const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)));
    const live = drawn("g");
    group.append(live);
    return { group, rect, live, x, bottom: y + height, width, dots: new Map() };
  }

  // --- what is live ---
  redraw() {
    if (this.root === null || this.store.status === null) return;
    if (this.stale.size) this.crowds = this.crowd();
    for (const port of this.stale) {
      const node = this.nodes.get(port);
      if (node) this.dots(node, this.crowds.get(port) ?? []);
    }
    this.stale.clear();
    this.arrows();
    if (this.outdated) this.faults();
    this.outdated = false;
    this.root.setAttribute("aria-label", this.summary());
  }

  crowd() {
    const crowds = new Map();
    for (const vsi of this.store.vsis.values()) {
      for (const at of vsi.attachments) {
        const stage = stageOf(at.phase);
        if (stage === null) continue;
        if (!crowds.has(at.port)) crowds.set(at.port, []);
        crowds.get(at.port).push({ vsi, at, stage });
      }
    }
    return crowds;
  }

  dots(node, crowd) {
    node.dots.clear();
    node.live.replaceChildren();
    const shown = crowd.length <= MOST ? crowd : crowd.slice(0, MOST - 1);
    shown.forEach(({ vsi, at, stage }, number) => {
      const [x, y] = [node.x + 11 + number * STEP, node.bottom - 10];
      const group = drawn("g");
      group.append(drawn("title", {}, `${vsi.label}, ${vsi.vsi}, type ${at.type}, ${at.phase}`));
      group.append(drawn("circle", { class: stage, cx: x, cy: y, r: RADIUS }));
      node.live.append(group);
      node.dots.set(vsi.vsi, { x, y, stage });
    });
    const more = crowd.length - shown.length;
    if (crowd.length === 1) this.label(node, 20, crowd[0].vsi.label.slice(0, 11));
    else if (more) this.label(node, 7 + shown.length * STEP, `+${more}`);
  }

  label(node, dx, words) {
    node.live.append(drawn("text", { class: "small", x: node.x + dx, y: node.bottom - 6.5 }, words));
  }

  /** From where a VSI is active to where else it is. */
  arrows() {
    const places = new Map();
    for (const { dots } of this.nodes.values()) {
      for (const [vsi, dot] of dots) places.set(vsi, [...(places.get(vsi) ?? []), dot]);
    }
    const paths = [];
    for (const dots of places.values()) {
      const active = dots.find((dot) => dot.stage === "active");
      for (const dot of dots.length > 1 && active ? dots.filter((dot) => dot !== active) : []) {
        const [from, to] = [active.y - RADIUS, dot.y - RADIUS];
        const top = Math.min(from, to) - 30;
        paths.push(drawn("path", { class: "move", d: `M${active.x} ${from}C${active.x} ${top} ${dot.x} ${top} ${dot.x} ${to}` }));
      }
    }
    this.moves.replaceChildren(...paths);
  }

  faults() {
    const { status } = this.store;
    const captions = [];
    for (const found of status.switches) {
      const group = this.switches.get(found.dpid);
      const ready = found.readiness === "ready";
      group?.querySelector("rect").setAttribute("class", ready ? "switch" : "switch down");
      if (group) captions.push([group, found.name, ready ? found.name : `${found.name}: ${found.readiness}`]);
      for (const port of found.ports) {
        this.nodes.get(`${found.dpid}:${port.port_no}`)?.rect.classList.toggle("down", port.up === false);
      }
    }
    caption(captions);
    const links = new Map(status.links.flatMap((link) => [[link.ports.join(" "), link], [link.ports.toReversed().join(" "), link]]));
    for (const [ends, path] of this.links) {
      const link = links.get(ends);
      if (link) path.setAttribute("class", link.up === false ? "link down" : link.in_tree ? "tree" : "link");
    }
  }

  summary() {
    const { status, vsis } = this.store;
    const { phases } = status.vsis;
    return `${counted(status.switches.length, "switch", "switches")}, ${counted(vsis.size, "VSI")}: ${phases.active} active, ${phases.staged} staged.  The lists below have the same in words.`;
  }
}

/**
 * Write into each switch the longer text if it fits, or else its name.
 * All are written before one is measured: a measurement behind a change lays out the whole picture.
 */
function caption(captions) {
  const written = captions.map(([group, name, words]) => {
    const text = group.querySelector("text");
    setText(text, words);
    return { text, name, words, room: group.querySelector("rect").width.baseVal.value - MARGIN };
  });
  const measured = written.filter(({ name, words }) => words !== name);
  for (const { text, name } of measured.filter(({ text, room }) => text.getComputedTextLength() > room)) setText(text, name);
}

/** A symbol of the legend with its words, below the picture: there it can be read at any width. */
function explained(group) {
  group.remove();
  const words = group.querySelector("text");
  words.remove();
  group.removeAttribute("transform");
  return element("li", {}, drawn("svg", { viewBox: "-2 -10 30 20", width: 30, height: 20, "aria-hidden": "true" }, group), words.textContent);
}

/** Show the cluster alone, without the room for heading and legend. */
function crop(root) {
  const { x, y, width, height } = root.getBBox();
  const [wide, high] = [width + 2 * MARGIN, height + 2 * MARGIN];
  root.setAttribute("viewBox", `${x - MARGIN} ${y - MARGIN} ${wide} ${high}`);
  root.setAttribute("width", wide);
  root.setAttribute("height", high);
  root.style.setProperty("--largest", `${LARGEST * wide}px`);
}
