// The page: what is shown where, and what happens when the stream is lost and found.

import { Access } from "./access.js";
import { Alarms } from "./alarms.js";
import { byId, setText, speak } from "./dom.js";
import { Moves } from "./moves.js";
import { Picture } from "./picture.js";
import { RestError } from "./rest.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import { Summary } from "./summary.js";
import { SwitchPane } from "./switchpane.js";
import { Vsis } from "./vsis.js";
import { clock } from "./words.js";

const store = new Store();
const access = new Access(store);
const pane = new SwitchPane(store);
const vsis = new Vsis(store, { access, showRules: (dpid, vsi) => pane.show(dpid, vsi) });
const picture = new Picture(store, { chooseSwitch: (dpid) => pane.show(dpid), choosePort: (name) => vsis.search(name) });
new Summary(store);
new Alarms(store);
new Moves(store);

let stream = null;
let lost = null;

function connection(kind, words) {
  const pill = byId("connection");
  pill.className = `pill ${kind}`;
  setText(pill, words);
}

function banner(words) {
  const place = byId("banner");
  place.hidden = words === null;
  setText(place, words ?? "");
}

/** Read everything, and again in a second if the bridge is not there. */
async function load() {
  const begun = performance.now();
  try {
    await access.read();
    await store.load();
    await picture.load();
  } catch (error) {
    if (error instanceof RestError && error.status === 401) return access.ask();
    if (lost === null) banner(`Not everything could be read: ${error.message}.  Trying again.`);
    setTimeout(load, 1000);
    return;
  }
  banner(store.standsBy ? standby(store.status.cluster) : null);
  document.body.dataset.loaded = Math.round(performance.now() - begun);
}

function standby(cluster) {
  const leader = cluster.leader ? `${cluster.leader} leads` : "no member leads at the moment";
  return `${cluster.name} stands by: ${leader}.  ${cluster.address ? `The page of the leader: ${cluster.address}` : ""}`;
}

const told = {
  event: (event) => store.happened(event),
  gap: () => load(),
  live() {
    connection("live", "live");
    if (lost !== null) {
      speak("Connected to the bridge again.");
      banner(null);
      // A bridge that was started anew sends a gap, which reads everything; one that was cut off has the events.
      store.readStatus().then(() => store.flush(), () => {});
    }
    lost = null;
  },
  lost(reason) {
    connection("lost", "connection lost");
    if (lost === null) {
      lost = Date.now() / 1000;
      speak("The connection to the bridge is lost.");
    }
    banner(`The connection to the bridge is lost: ${reason}.  What is shown is of ${clock(lost)}.  Trying again.`);
  },
  refused: () => access.ask(),
};

function begin() {
  stream?.stop();
  lost = null;
  stream = new Stream(told);
  stream.run();
  load();
}

access.begin = begin;
begin();
