// Conditions that need an operator.

import { byId, element, KeyedList, setText, speak } from "./dom.js";
import { clock, count, members } from "./words.js";

const keyOf = (alarm) => [alarm.kind, alarm.dpid, alarm.port, alarm.vsi, alarm.since].join(" ");

export class Alarms {
  constructor(store) {
    this.store = store;
    this.known = null;
    this.list = new KeyedList(byId("alarm-list"), () => this.make());
    store.on("status", () => this.show());
  }

  show() {
    const { alarms } = this.store.status;
    byId("alarms").hidden = alarms.length === 0;
    this.list.show(alarms, keyOf);
    for (const alarm of alarms) {
      // Those that were there when the page was opened are read with it.
      if (this.known !== null && !this.known.has(keyOf(alarm))) speak(`Alarm: ${alarm.words}, ${this.where(alarm)}`);
    }
    this.known = new Set(alarms.map(keyOf));
  }

  make() {
    const [severity, words, where, since, detail] = ["strong", "span", "span", "span", "code"].map((name) => element(name));
    where.className = since.className = "muted";
    const node = element("li", { class: "alarm" }, severity, " ", words, " ", where, " ", since, " ", detail);
    return {
      node,
      update: (alarm) => {
        node.dataset.severity = alarm.severity;
        severity.textContent = alarm.severity;
        words.textContent = alarm.words;
        where.textContent = this.where(alarm);
        since.textContent = `since ${clock(alarm.since)}${alarm.count > 1 ? `, ${count(alarm.count)} times` : ""}`;
        setText(detail, `${alarm.kind} ${members(alarm.detail)}`);
      },
    };
  }

  where(alarm) {
    const { store } = this;
    const place = alarm.port ?? alarm.dpid;
    const at = place === null ? "" : alarm.port ? `${store.switchName(place)} port ${store.portName(place)}` : store.switchName(place);
    return [at, alarm.vsi === null ? "" : `VSI ${store.labelOf(alarm.vsi)}`].filter(Boolean).join(", ");
  }
}
