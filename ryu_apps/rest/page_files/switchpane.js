// One switch: its reservations against its budgets, and its rules, staged and active apart.

import { byId, coalesced, element, KeyedList, setText } from "./dom.js";
import { Flows } from "./flows.js";
import { get } from "./rest.js";
import { count, counted, duration, rate } from "./words.js";

//: Reservations that are listed; and milliseconds from an event to the next look.
const [MOST, SOON] = [100, 700];

export class SwitchPane {
  constructor(store) {
    this.store = store;
    this.dpid = null;
    this.choice = byId("switch-choice");
    this.choice.addEventListener("change", () => this.show(this.choice.value));
    this.flows = ["staged", "active", "infrastructure"].map((state) => new Flows(state, store));
    this.promises = new KeyedList(byId("promise-list"), () => promise(store));
    this.bars = new KeyedList(byId("budgets"), bar);
    this.tables = new KeyedList(byId("table-budgets"), bar);
    this.fresh = coalesced(() => this.read(), SOON);
    store.on("status", () => this.offer());
    // Rules may have been read before the VSIs that they name.
    store.on("loaded", this.fresh);
    store.on("event", (event) => event.dpid === this.dpid && this.fresh());
    byId("promises").addEventListener("toggle", () => this.read());
    byId("infrastructure").addEventListener("toggle", () => this.read());
    byId("all-flows").addEventListener("click", () => this.show(this.dpid));
    // Only what is looked at is asked for.
    this.visible = false;
    const observer = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible) this.read();
    });
    // Before, the page is empty and all of it is in sight.
    store.addEventListener("loaded", () => observer.observe(byId("switch")), { once: true });
  }

  /** Show a switch, and the rules of one VSI alone. */
  show(dpid, vsi = null) {
    this.dpid = this.choice.value = dpid;
    this.flows.forEach((flows) => flows.choose(dpid, vsi));
    byId("flows-of").hidden = vsi === null;
    setText(byId("flows-of").querySelector("span"), vsi === null ? "" : `of ${this.store.labelOf(vsi)} alone`);
    this.read();
    if (vsi !== null) {
      byId("flows-title").scrollIntoView({ block: "start" });
      byId("all-flows").focus();
    }
  }

  offer() {
    const { switches } = this.store.status;
    const known = [...this.choice.options].map((option) => option.value).join();
    if (known !== switches.map((found) => found.dpid).join()) {
      this.choice.replaceChildren(...switches.map((found) => element("option", { value: found.dpid }, found.name)));
      const kept = this.store.switches.has(this.dpid) ? this.dpid : switches[0]?.dpid;
      if (kept !== undefined) this.show(kept);
    }
    const found = this.store.switches.get(this.dpid);
    if (found) setText(byId("switch-facts"), `${found.readiness}, datapath ${found.dpid}, ${counted(found.rules, "rule")}, gates open by ${found.gate}`);
  }

  async read() {
    if (!this.visible || this.dpid === null || this.store.standsBy) return;
    try {
      const [found] = await get(`/evb/reservations?switch=${this.dpid}`);
      this.bars.show(budgets(found, this.store), (budget) => budget.name);
      this.tables.show(tables(found), (budget) => budget.name);
      const promises = byId("promises");
      setText(promises.querySelector("summary"), `Reserved for (${count(found.promises.length)})`);
      if (promises.open) this.promises.show(found.promises.slice(0, MOST), (each) => `${each.for} ${each.index ?? each.epoch ?? each.vid ?? ""}`);
      const [staged, active, infrastructure] = this.flows;
      await Promise.all([staged.read(), active.read(), byId("infrastructure").open ? infrastructure.read() : null]);
    } catch {
      this.fresh();
    }
  }
}

const amount = (name, { budget, base = 0, used }) => ({ name, budget, used: base + used, words: count });

/** The budgets of a switch as a whole, and the rates of its ports. */
function budgets(found, store) {
  const rates = found.bandwidth.flatMap(({ port, speed, sent, received }) => {
    const name = store.portName(`${found.dpid}:${port}`);
    return [
      { name: `${name}: to the station`, budget: speed, used: sent, words: rate },
      { name: `${name}: from the station`, budget: speed, used: received, words: rate },
    ].filter(({ used }) => used > 0);
  });
  return [amount("rules", found), amount("meters", found.meters), amount("groups", found.groups), ...rates];
}

/** The budgets of its tables. */
function tables(found) {
  return Object.entries(found.tables).map(([name, table]) => amount(name, table));
}

function bar() {
  const [name, value, fill] = [element("span"), element("span", { class: "value" }), element("span", { class: "fill" })];
  const meter = element("span", { class: "meter", role: "meter", "aria-valuemin": 0 }, fill);
  return {
    node: element("div", { class: "bar" }, name, meter, value),
    update: (budget) => {
      const share = budget.budget ? Math.min(1, budget.used / budget.budget) : 0;
      name.textContent = budget.name;
      setText(value, budget.budget === null ? `${budget.words(budget.used)}, no limit` : `${budget.words(budget.used)} of ${budget.words(budget.budget)}`);
      meter.setAttribute("aria-label", budget.name);
      meter.setAttribute("aria-valuemax", budget.budget ?? budget.used);
      meter.setAttribute("aria-valuenow", budget.used);
      meter.setAttribute("aria-valuetext", value.textContent);
      // Something that is little is not nothing.
      fill.style.width = budget.used ? `max(2px, ${100 * share}%)` : "0";
      fill.classList.toggle("full", share > 0.9);
    },
  };
}

function promise(store) {
  const node = element("li");
  return {
    node,
    update: (each) => {
      const number = each.index ?? each.epoch ?? each.vid;
      const holders = each.holders.slice(0, 5).map((held) => {
        const expires = held.expires_in === null ? "" : `, expires in ${duration(Math.max(0, held.expires_in))}`;
        return `${store.labelOf(held.vsi)} at ${store.portName(held.port)} (${held.phase}${expires})`;
      });
      const more = each.holders.length > 5 ? ` and ${each.holders.length - 5} more` : "";
      setText(node, `${each.for}${number === undefined ? "" : ` ${number}`}: ${counted(each.rules, "rule")}, ${counted(each.meters, "meter")}${holders.length ? `; ${holders.join(", ")}${more}` : ""}`);
    },
  };
}
