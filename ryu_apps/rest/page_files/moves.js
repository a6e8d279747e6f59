// Migrations as ladders, which grow while they run.

import { byId, coalesced, element, KeyedList, setText, speak } from "./dom.js";
import { clock, counted, duration, offset } from "./words.js";

//: Migrations that are shown at first, and more at a time.
const FIRST = 6;

export class Moves {
  constructor(store) {
    this.store = store;
    this.limit = FIRST;
    this.states = null;
    this.list = new KeyedList(byId("move-list"), () => new MovePart(store));
    const draw = coalesced(() => this.show());
    store.on("moves", draw);
    store.on("status", draw);
    byId("moves-only").addEventListener("change", draw);
    byId("more-moves").addEventListener("click", () => {
      this.limit += FIRST;
      draw();
    });
  }

  show() {
    const only = byId("moves-only").checked;
    const all = [...this.store.moves.values()].filter((move) => !only || move.source !== null);
    all.sort((a, b) => a.finished - b.finished || b.id - a.id);
    const parts = this.list.show(all.slice(0, this.limit), (move) => move.id);
    // What opened by itself closes when it is over and another one is first.
    parts.slice(1).forEach((part) => part.fold());
    byId("no-moves").hidden = all.length > 0;
    byId("more-moves").hidden = all.length <= this.limit;
    this.say(all);
  }

  say(all) {
    for (const move of all) {
      const before = this.states?.get(move.id);
      if (this.states !== null && before !== move.state && move.source !== null) {
        speak(`${this.store.labelOf(move.vsi)} from ${this.store.portName(move.source)} to ${this.store.portName(move.destination)}: ${move.state}`);
      }
    }
    this.states = new Map(all.map((move) => [move.id, move.state]));
  }
}

/** One migration: a line, and its ladder below. */
class MovePart {
  constructor(store) {
    this.store = store;
    this.state = element("span", { class: "pill" });
    this.title = element("strong");
    this.when = element("span", { class: "muted" });
    this.ladder = element("ol", { class: "ladder" });
    this.heading = element("div", { class: "rung lanes-named", "aria-hidden": "true" });
    this.services = element("p", { class: "services muted" });
    this.details = element(
      "details",
      {},
      element("summary", {}, this.state, " ", this.title, " ", this.when),
      element("div", { class: "ladder-box" }, this.heading, this.ladder),
      this.services,
    );
    this.node = element("li", { class: "card" }, this.details);
    this.drawn = 0;
    this.lanes = null;
  }

  update(move) {
    this.node.dataset.move = move.id;
    this.state.className = `pill ${move.state}`;
    setText(this.state, move.state);
    setText(this.title, this.words(move));
    // As in the ladders of replays: what has no place in one is left out.
    const steps = move.events.filter((step) => step.arrow !== null);
    const took = steps.length ? steps.at(-1).t - steps[0].t : 0;
    setText(this.when, steps.length ? `${clock(steps[0].wall)}, ${duration(took)}` : "");
    if (this.lanes === null) this.begin(move);
    for (const step of steps.slice(this.drawn)) this.draw(step, steps[0]);
    this.drawn = steps.length;
    this.finished = move.finished;
    setText(this.services, services(move.services));
  }

  words(move) {
    const { store } = this;
    const label = store.labelOf(move.vsi);
    if (move.source === null) return `${label} starts at ${store.portName(move.destination)}`;
    return `${label}: ${store.portName(move.source)} → ${store.portName(move.destination)}`;
  }

  /** Lanes: hypervisors outside, their switches between them; one switch if both hang on the same. */
  begin(move) {
    this.details.open = this.opened = !move.finished;
    const [source, destination] = [move.source, move.destination];
    const switchOf = (port) => `switch ${port.split(":")[0]}`;
    const ends = source === null ? [switchOf(destination), destination] : [source, switchOf(source), switchOf(destination), destination];
    this.lanes = [...new Set(ends)];
    const names = this.lanes.map((lane) => (lane.startsWith("switch ") ? this.store.switchName(lane.slice(7)) : this.store.portName(lane)));
    this.names = new Map(this.lanes.map((lane, number) => [lane, names[number]]));
    this.heading.append(element("span"), element("span", { class: "lanes" }, names.map((name) => element("span", { title: name }, name))), element("span"));
    this.node.style.setProperty("--lanes", this.lanes.length);
  }

  fold() {
    if (!this.opened || !this.finished || this.node.contains(document.activeElement)) return;
    this.details.open = this.opened = false;
  }

  draw(step, first) {
    const [from, to] = this.ends(step);
    const lines = this.lanes.map((lane) => spanning(element("i", { class: "lane" }), this.lanes.indexOf(lane)));
    const lanes = element("span", { class: "lanes", "aria-hidden": "true" }, lines, this.mark(from, to));
    const ends = from === to ? `${this.names.get(from)}: ` : `${this.names.get(from)} to ${this.names.get(to)}: `;
    this.ladder.append(
      element(
        "li",
        { class: "rung" },
        element("span", { class: "time" }, offset(step.t - first.t)),
        lanes,
        element("span", { class: "words", "data-kind": step.kind }, element("span", { class: "spoken" }, ends), step.words),
      ),
    );
  }

  ends(step) {
    const [port, at] = [step.port, `switch ${step.port.split(":")[0]}`];
    if (step.arrow === "from_station") return [port, at];
    return step.arrow === "to_station" ? [at, port] : [at, at];
  }

  mark(from, to) {
    const [a, b] = [this.lanes.indexOf(from), this.lanes.indexOf(to)];
    return spanning(element("i", { class: a === b ? "dot" : a < b ? "arrow right" : "arrow left" }), Math.min(a, b), Math.max(a, b));
  }
}

/** An element in the columns of some lanes. */
function spanning(node, first, last = first) {
  node.style.gridColumn = `${first + 1} / ${last + 2}`;
  return node;
}

/** The services by their states: "staged: acl, firewall (12 rules carried)". */
function services(all) {
  const words = ({ name, carried }) => (carried ? `${name} (${counted(carried, "rule")} carried)` : name);
  const states = Map.groupBy(all, (service) => service.state);
  return [...states].map(([state, some]) => `${state}: ${some.map(words).join(", ")}`).join("; ");
}
