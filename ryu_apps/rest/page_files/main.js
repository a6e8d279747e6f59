// The page: what is shown where, and what happens when the stream is lost and found.

import { Access } from "./access.js";
import { Alarms } from "./alarms.js";
import { byId, element, setText, speak } from "./dom.js";
import { Moves } from "./moves.js";
import { Picture } from "./picture.js";
import { RestError } from "./rest.js";
import { all, Store } from "./store.js";
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
//: The leader to whom a standby refers, as it was when everything was read; null: this bridge leads, or is alone.
let leader = null;

function connection(kind, words) {
  const pill = byId("connection");
  pill.className = `pill ${kind}`;
  setText(pill, words);
}

function banner(words, address = null) {
  const place = byId("banner");
  place.hidden = words === null;
  setText(place, words ?? "");
  if (address !== null) place.append(element("a", { href: address }, address));
}

/** Read everything, and again in a second if the bridge is not there. */
async function load() {
  const begun = performance.now();
  try {
    await access.read();
    await all([store.load(), picture.load()]);
  } catch (error) {
    if (error instanceof RestError && error.status === 401) return access.ask();
    if (lost === null) banner(`Not everything could be read: ${error.message}.  Trying again.`);
    setTimeout(load, 1000);
    return;
  }
  leader = leaderElsewhere();
  if (leader === null) banner(null);
  else standby(store.status.cluster);
  document.body.dataset.loaded = Math.round(performance.now() - begun);
}

function leaderElsewhere() {
  return store.standsBy ? (store.status.cluster.leader ?? "") : null;
}

function standby(cluster) {
  const who = cluster.leader ? `${cluster.leader} leads` : "no member leads at the moment";
  const words = `${cluster.name} stands by: ${who}.  VSIs are as the leader had saved them at ${clock(Date.now() / 1000)}.  `;
  if (cluster.address) banner(`${words}The page of the leader: `, cluster.address);
  else banner(words);
}

// A bridge that takes the lead has migrations, and one that gives it up has them no longer.
store.on("status", () => {
  if (document.body.dataset.loaded && !store.loading && leaderElsewhere() !== leader) load();
});

const told = {
  event(event) {
    store.happened(event);
    // Another evbridge.yaml: ports and switches may have come and gone, and the picture is another one.
    if (event.kind === "config.loaded") load();
  },
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
