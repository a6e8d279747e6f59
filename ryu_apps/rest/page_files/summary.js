// The tiles at the top: numbers of the whole cluster.

import { byId, element, setText } from "./dom.js";
import { count, duration } from "./words.js";

export class Summary {
  constructor(store) {
    this.store = store;
    this.tiles = new Map();
    store.on("status", () => this.show());
  }

  show() {
    const { status } = this.store;
    const { phases, total } = status.vsis;
    const ready = status.switches.filter((found) => found.readiness === "ready").length;
    const moving = phases.preassociated + phases.staging + phases.activating + phases.releasing;
    setText(byId("version"), `${status.version}, up ${duration(status.uptime)}`);
    this.tile("VSIs", count(total));
    this.tile("active", count(phases.active), "is-active");
    this.tile("staged", count(phases.staged), "is-staged");
    this.tile("under way", count(moving), "is-under-way");
    this.tile("switches ready", `${ready} of ${status.switches.length}`, ready < status.switches.length ? "is-wrong" : "");
    this.tile("stations agreed", `${status.stations.agreed} of ${status.stations.configured}`);
    this.tile("alarms", count(status.alarms.length), status.alarms.length ? "is-wrong" : "");
  }

  tile(words, value, kind = "") {
    let tile = this.tiles.get(words);
    if (tile === undefined) {
      const number = element("dd");
      const node = element("div", {}, element("dt", {}, words), number);
      this.tiles.set(words, (tile = { node, number }));
      byId("tiles").append(node);
    }
    tile.node.className = kind;
    setText(tile.number, value);
  }
}
