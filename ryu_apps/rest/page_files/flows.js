// The rules of a switch in one state, table by table.

import { byId, element } from "./dom.js";
import { parts } from "./rest.js";
import { counted } from "./words.js";

//: Rules that are read at first, and more at a time.
const PART = 100;

export class Flows {
  constructor(state, store) {
    this.state = state;
    this.store = store;
    this.place = byId(`flows-${state}`);
    this.more = element("button", { type: "button", click: () => this.enlarge() }, "Show more");
    this.choose(null, null);
  }

  choose(dpid, vsi) {
    this.dpid = dpid;
    this.vsi = vsi;
    this.limit = PART;
    this.known = null;
  }

  enlarge() {
    this.limit += PART;
    return this.read();
  }

  async read() {
    if (this.dpid === null) return;
    const { dpid, vsi, limit } = this;
    const about = vsi === null ? "" : `&vsi=${encodeURIComponent(vsi)}`;
    const { value: part } = await parts(`/evb/flows/${dpid}?state=${this.state}${about}`, limit).next();
    if (this.dpid === dpid && this.vsi === vsi) this.show(part);
  }

  show({ items, more }) {
    const tables = Map.groupBy(items, (rule) => rule.table);
    const blocks = [...tables].map(([name, rules]) =>
      element(
        "section",
        { class: "table", "aria-label": `Table ${name}` },
        element("h5", {}, name, " ", element("span", { class: "muted" }, counted(rules.length, "rule"))),
        element("ul", { class: "plain rules" }, rules.map((rule) => this.rule(rule))),
      ),
    );
    this.known = new Set(items.map((rule) => rule.id));
    const none = items.length ? null : element("p", { class: "muted" }, "None.");
    this.place.replaceChildren(...blocks, ...[none, more ? this.more : null].filter(Boolean));
  }

  rule(rule) {
    const isNew = this.known !== null && !this.known.has(rule.id);
    // The heading has the table, and who needs the rule says more than its cookie.
    const text = rule.text.replace(/^table=\S+ /, "").replace(/cookie=\S+ /, "");
    const users = rule.vsis.slice(0, 3).map((vsi) => this.store.labelOf(vsi));
    const more = rule.vsis.length > 3 ? ` and ${rule.vsis.length - 3} more` : "";
    return element(
      "li",
      { title: `cookie ${rule.cookie}`, class: isNew ? `rule ${this.state} new` : `rule ${this.state}` },
      element("code", {}, breakable(text)),
      users.length ? element("span", { class: "muted" }, ` ${users.join(", ")}${more}`) : null,
    );
  }
}

/** A long text that a line may end in, behind each comma. */
function breakable(text) {
  return text.split(/(?<=,)/).flatMap((piece) => [piece, element("wbr")]);
}
