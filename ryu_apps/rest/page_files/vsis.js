// The VSIs: a search, a list that is as long as one looks, and all about one.

import { byId, coalesced, confirmed, element, KeyedList, setText } from "./dom.js";
import { change } from "./rest.js";
import { stageOf } from "./store.js";
import { clock, count, counted, duration, members } from "./words.js";

//: VSIs that are in the page at first, and more at a time.
const PART = 20;
const WORDS = { active: "active", staged: "staged", "under-way": "under way" };

export class Vsis {
  constructor(store, { access, showRules }) {
    this.store = store;
    this.tools = { access, showRules, search: (words) => this.search(words) };
    this.limit = PART;
    this.list = new KeyedList(byId("vsi-list"), () => new VsiPart(store, this.tools));
    this.draw = coalesced(() => this.show());
    store.on("vsis", this.draw);
    store.on("access", this.draw);
    const anew = () => {
      this.limit = PART;
      this.draw();
    };
    byId("query").addEventListener("input", anew);
    byId("stage").addEventListener("change", anew);
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    byId("more-vsis").addEventListener("click", () => {
      this.limit += PART;
      this.draw();
    });
  }

  search(words) {
    byId("query").value = words;
    byId("stage").value = "";
    this.limit = PART;
    this.draw();
    byId("vsis").scrollIntoView({ block: "nearest" });
    byId("query").focus();
  }

  show() {
    const words = byId("query").value.trim().toLowerCase().replaceAll("-", "").split(/\s+/).filter(Boolean);
    const stage = byId("stage").value;
    const all = this.store.inOrder().filter(
      (vsi) => (stage === "" || vsi.stages.has(stage)) && words.every((word) => matches(this.store.textOf(vsi), word)),
    );
    this.list.show(all.slice(0, this.limit), (vsi) => vsi.vsi);
    const shown = Math.min(all.length, this.limit);
    setText(byId("found"), all.length > shown ? `${count(shown)} of ${counted(all.length, "VSI")} shown` : counted(all.length, "VSI"));
    byId("more-vsis").hidden = all.length <= this.limit;
  }
}

const matches = (text, word) => text.includes(word) || text.replaceAll("-", "").includes(word);

/** One VSI: a line, and all about it below, made when it is opened. */
class VsiPart {
  constructor(store, tools) {
    this.store = store;
    this.tools = tools;
    this.marks = element("span", { class: "marks" });
    this.name = element("strong");
    this.where = element("span", { class: "where" });
    this.addresses = element("span", { class: "addresses" });
    this.body = element("div", { class: "about" });
    this.details = element(
      "details",
      { toggle: () => this.fill() },
      element("summary", {}, this.marks, this.name, this.where, this.addresses),
      this.body,
    );
    this.node = element("li", { class: "card vsi" }, this.details);
  }

  update(vsi) {
    if (this.vsi === vsi) return;
    this.vsi = vsi;
    this.node.dataset.vsi = vsi.vsi;
    const stages = vsi.attachments.map((at) => [stageOf(at.phase), at]).filter(([stage]) => stage !== null);
    this.marks.replaceChildren(...stages.map(([stage]) => element("span", { class: `mark ${stage}` }, WORDS[stage])));
    setText(this.name, vsi.label);
    setText(this.where, stages.map(([, at]) => `${this.store.portName(at.port)} (${this.store.switchName(at.port)})`).join(", "));
    const texts = vsi.attachments.flatMap((at) => [...at.addresses, ...at.macs]);
    setText(this.addresses, [...new Set(texts)].slice(0, 4).join("  "));
    this.fill();
  }

  fill() {
    if (!this.details.open) return;
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const { vsi } = this;
    if (vsi.brief) this.store.complete(vsi.vsi);
    this.body.replaceChildren(
      facts([["VSIID", vsi.vsi], ["Owner", vsi.owner && this.place(vsi.owner)]]),
      ...(vsi.brief ? [element("p", { class: "muted" }, "Reading.")] : vsi.attachments.map((at) => this.attachment(at))),
      this.buttons(vsi),
    );
    if (focused) this.body.querySelector(`[data-action="${focused}"]`)?.focus();
  }

  place(port) {
    return `${this.store.portName(port)}, port ${port.split(":")[1]} of ${this.store.switchName(port)}`;
  }

  attachment(at) {
    const program = at.program;
    return element(
      "section",
      { "aria-label": `At ${at.name}` },
      element("h3", {}, `${at.name}: ${at.phase}`),
      facts([
        ["Port", this.place(at.port)],
        ["Request", at.wanted ? `${at.mode}, waits for ${at.wanted}` : at.mode],
        ["Type", at.type],
        ["Addresses", at.addresses.join(", ")],
        ["Bindings", at.bindings.map(binding).join("; ")],
        ["Since", at.since && `${clock(at.since)} (${duration(at.age)})`],
        ["Deadline", at.deadline && `${clock(at.deadline)} (${at.deadline_for})`],
        ["Rules", program && program.rules !== null && `${counted(program.rules, "rule")}${program.waiting ? `, ${program.waiting} not confirmed` : ""}`],
        ["Services", program && program.services.join(", ")],
        ["Carried", program && members(program.carried)],
      ]),
    );
  }

  buttons(vsi) {
    const places = new Set(vsi.attachments.map((at) => at.port.split(":")[0]));
    const rules = [...places].map((dpid) =>
      element("button", { type: "button", "data-action": `rules-${dpid}`, click: () => this.tools.showRules(dpid, vsi.vsi) }, `Rules at ${this.store.switches.get(dpid)?.name ?? dpid}`),
    );
    const operate = this.tools.access.allows("operate");
    const drop = element("button", { type: "button", class: "danger", "data-action": "deassociate", click: () => this.deassociate(vsi) }, "De-associate");
    return element("div", { class: "buttons" }, rules, operate ? drop : null);
  }

  async deassociate(vsi) {
    if (!(await confirmed(`De-associate ${vsi.label} (${vsi.vsi}) at every port?  The VM loses its network.`, "De-associate"))) return;
    try {
      await change("DELETE", `/evb/vsis/${encodeURIComponent(vsi.vsi)}`);
    } catch (error) {
      this.body.append(element("p", { class: "fault", role: "alert" }, error.message));
    }
  }
}

function facts(pairs) {
  return element("dl", { class: "facts" }, pairs.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function binding({ vid, mac, group, pcp }) {
  return [`VID ${vid}`, mac, group === null ? "" : `GroupID ${group}`, pcp === null ? "" : `priority ${pcp}`].filter(Boolean).join(" ");
}
