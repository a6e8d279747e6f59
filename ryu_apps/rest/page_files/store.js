// What the page knows of the bridge, and what has to be asked again after which event.

import { get, parts, RestError } from "./rest.js";

//: Milliseconds until what has changed is asked for: VSIs, the summary, and the summary without an event.
const [SOON, SUMMARY, AGAIN] = [120, 500, 20000];
//: VSIs that are asked for at a time, and from which number on the whole list is read instead.
const [AT_ONCE, MANY] = [16, 400];
//: VSIs of one part of the whole list, in brief: 8,192 are one part.
const IN_BRIEF = 10000;
//: Migrations that are read at the start.
export const NEWEST = 50;

const STAGES = { active: "active", staged: "staged" };

/** Progress of a VSI at a port, as in the picture: active, staged or under-way; null: nothing is there. */
export const stageOf = (phase) => (phase === "none" ? null : STAGES[phase] ?? "under-way");

export class Store extends EventTarget {
  constructor() {
    super();
    this.access = null;
    this.status = null;
    this.ports = new Map();
    this.switches = new Map();
    this.vsis = new Map();
    this.moves = new Map();
    this.loading = false;
    this.changed = new Set();
    this.touched = new Set();
    this.sorted = [];
    this.flushing = false;
    this.timer = null;
  }

  tell(topic, detail = null) {
    this.dispatchEvent(new CustomEvent(topic, { detail }));
  }

  on(topic, act) {
    this.addEventListener(topic, (event) => act(event.detail));
  }

  // --- reading everything ---
  async load() {
    this.loading = true;
    this.changed.clear();
    try {
      await all([this.readStatus().then(() => this.readMoves()), this.readVsis()]);
    } finally {
      this.loading = false;
    }
    this.tell("loaded");
    this.flush();
  }

  get standsBy() {
    return this.status?.cluster != null && !this.status.cluster.leads;
  }

  async readStatus() {
    clearTimeout(this.timer);
    this.timer = null;
    try {
      this.status = await get("/evb/status");
    } finally {
      this.timer ??= setTimeout(() => this.readStatus().catch(() => {}), AGAIN);
    }
    this.switches = new Map(this.status.switches.map((found) => [found.dpid, found]));
    this.ports = new Map(
      this.status.switches.flatMap((at) => at.ports.map((port) => [`${at.dpid}:${port.port_no}`, { ...port, at }])),
    );
    this.tell("status");
  }

  async readVsis() {
    const seen = new Set();
    for await (const { items } of parts("/evb/overview", IN_BRIEF)) {
      for (const item of items) {
        seen.add(item.vsi);
        this.keep({ ...item, brief: true });
      }
      this.tellVsis();
    }
    for (const vsi of [...this.vsis.keys()].filter((vsi) => !seen.has(vsi))) this.forget(vsi);
    this.tellVsis();
  }

  /** A standby has none: it refers to the leader. */
  async readMoves() {
    const found = this.standsBy ? [] : await get(`/evb/migrations?newest=${NEWEST}`);
    this.moves = new Map(found.map((move) => [move.id, move]));
    this.tell("moves");
  }

  // --- after events ---
  happened(event) {
    if (event.vsi !== null) {
      this.changed.add(event.vsi);
      setTimeout(() => this.flush(), SOON);
    }
    this.summarySoon();
    this.tell("event", event);
  }

  summarySoon() {
    if (this.soon) return;
    this.soon = true;
    setTimeout(() => {
      this.soon = false;
      this.readStatus().catch(() => {});
    }, SUMMARY);
  }

  async flush() {
    if (this.flushing || this.loading || this.standsBy || this.changed.size === 0) return;
    this.flushing = true;
    try {
      if (this.changed.size > MANY) {
        this.changed.clear();
        await this.readMoves();
        await this.readVsis();
      } else {
        const some = [...this.changed].slice(0, AT_ONCE);
        some.forEach((vsi) => this.changed.delete(vsi));
        await Promise.all(some.map((vsi) => this.readOne(vsi)));
        this.tellVsis();
        this.tell("moves");
      }
    } catch {
      // The bridge does not answer: what was not read is read when the stream is there again.
      return;
    } finally {
      this.flushing = false;
    }
    if (this.changed.size) setTimeout(() => this.flush(), SOON);
  }

  async readOne(vsi) {
    try {
      const [found, moves] = await Promise.all([this.found(vsi), get(`/evb/migrations?vsi=${encodeURIComponent(vsi)}&after=${this.over(vsi)}`)]);
      this.replace(vsi, found);
      for (const move of moves) this.moves.set(move.id, move);
    } catch (error) {
      this.changed.add(vsi);
      throw error;
    }
  }

  /** Read all about a VSI that is known in brief. */
  async complete(vsi) {
    try {
      this.replace(vsi, await this.found(vsi));
      this.tellVsis();
    } catch {
      // The bridge does not answer: it is read after the next event, or when it is opened again.
    }
  }

  async found(vsi) {
    try {
      return await get(`/evb/vsis/${encodeURIComponent(vsi)}`);
    } catch (error) {
      if (error instanceof RestError && error.status === 404) return null;
      throw error;
    }
  }

  /** Number of the newest migration of a VSI that is over, and all before it. */
  over(vsi) {
    const own = [...this.moves.values()].filter((move) => move.vsi === vsi);
    const open = Math.min(...own.filter((move) => !move.finished).map((move) => move.id));
    return Math.max(0, ...own.filter((move) => move.id < open).map((move) => move.id));
  }

  // --- VSIs ---
  replace(vsi, found) {
    if (found === null) this.forget(vsi);
    else this.keep({ ...found, attachments: found.attachments.map((at) => ({ ...at, macs: macsOf(at) })) });
  }

  keep(found) {
    found.label = found.name ?? addressOf(found) ?? found.vsi.slice(0, 8);
    found.stages = new Set(found.attachments.map((at) => stageOf(at.phase)));
    this.touch(this.vsis.get(found.vsi), found);
    if (!this.vsis.has(found.vsi)) this.sorted = null;
    this.vsis.set(found.vsi, found);
  }

  forget(vsi) {
    this.touch(this.vsis.get(vsi));
    if (this.vsis.delete(vsi)) this.sorted = null;
  }

  /** Remember the ports of a VSI, earlier and now, for the picture. */
  touch(...versions) {
    for (const found of versions) {
      for (const at of found?.attachments ?? []) this.touched.add(at.port);
    }
  }

  tellVsis() {
    this.tell("attached", this.touched);
    this.touched = new Set();
    this.tell("vsis");
  }

  /** The VSIs in the order of their VSIIDs. */
  inOrder() {
    this.sorted ??= [...this.vsis.keys()].sort();
    return this.sorted.map((vsi) => this.vsis.get(vsi));
  }

  /** All that a search looks at, made at the first search. */
  textOf(vsi) {
    return (vsi.text ??= haystack(vsi, this.ports));
  }

  labelOf(vsi) {
    return this.vsis.get(vsi)?.label ?? vsi.slice(0, 8);
  }

  portName(port) {
    return this.ports.get(port)?.name ?? port;
  }

  switchName(port) {
    return this.switches.get(port.split(":")[0])?.name ?? port.split(":")[0];
  }
}

/** The first IPv4 address of a VSI without a name, which says more than its VSIID. */
const addressOf = (found) => found.attachments.flatMap((at) => at.addresses).find((text) => text.includes("."));

/** Wait for all of them, and throw what the first that failed has thrown. */
export async function all(promises) {
  const failed = (await Promise.allSettled(promises)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

const macsOf = (at) => at.bindings.map((binding) => binding.mac).filter(Boolean);

/** All that a search looks at, in lower case. */
function haystack(found, ports) {
  const words = [found.vsi, found.name];
  for (const at of found.attachments) {
    const port = ports.get(at.port);
    words.push(at.port, port?.name, at.type, port?.at.name, ...at.addresses);
    for (const mac of at.macs) words.push(mac, mac.replaceAll(":", ""));
  }
  return words.filter(Boolean).join(" ").toLowerCase();
}
