// The event stream: server-sent events, resumed behind the last one that this page has.
//
// EventSource cannot send a token, so that the stream is read with fetch.

import { headers } from "./rest.js";

const PATH = "/evb/events/stream";
//: Milliseconds: between two tries, at first and at most, and without a sign of life (the bridge gives one in 10 s).
const [FIRST, MOST, SILENT] = [500, 5000, 25000];

export class Stream {
  /** `told` has: event(object), gap(missed), live(), lost(reason), refused(status). */
  constructor(told) {
    this.told = told;
    this.last = null;
    this.pause = FIRST;
    this.stopped = false;
    this.aborter = new AbortController();
  }

  stop() {
    this.stopped = true;
    this.aborter.abort();
  }

  async run() {
    while (!this.stopped) {
      const reason = await this.follow();
      if (this.stopped) return;
      this.told.lost(reason);
      await new Promise((resolve) => setTimeout(resolve, this.pause));
      this.pause = Math.min(2 * this.pause, MOST);
    }
  }

  /** Read until the connection ends; the reason. */
  async follow() {
    this.aborter = new AbortController();
    let watch = this.watched();
    try {
      const more = this.last === null ? {} : { "Last-Event-ID": this.last };
      const response = await fetch(PATH, { headers: headers(more), signal: this.aborter.signal, cache: "no-store" });
      if (response.status === 401 || response.status === 403) {
        this.stop();
        this.told.refused(response.status);
        return "refused";
      }
      if (!response.ok) return response.status === 503 ? "too many pages follow the bridge" : `status ${response.status}`;
      this.pause = FIRST;
      this.told.live();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return "the bridge has ended the connection";
        clearTimeout(watch);
        watch = this.watched();
        text = this.take(text + value);
      }
    } catch {
      return "the bridge does not answer";
    } finally {
      clearTimeout(watch);
    }
  }

  watched() {
    return setTimeout(() => this.aborter.abort(), SILENT);
  }

  /** Deliver the whole messages of a text; what is left of it. */
  take(text) {
    const messages = text.split("\n\n");
    const rest = messages.pop();
    for (const message of messages) this.deliver(message);
    return rest;
  }

  deliver(message) {
    const fields = {};
    for (const line of message.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
    }
    if (fields.data === undefined) return;
    const data = JSON.parse(fields.data);
    if (fields.event === "gap") {
      this.told.gap(data.missed);
      return;
    }
    this.last = fields.id ?? this.last;
    this.told.event(data);
  }
}
