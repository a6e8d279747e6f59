// Elements of the page.  Text is set as text: nothing here parses HTML, so names of VSIs and types stay names.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (functions are listeners) and children: nodes, texts, or null for none. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

/** An element of SVG with attributes and children: nodes or texts. */
export function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Set the text of an element if it differs: a screen reader speaks what is set. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * A list whose items keep their elements, so that what is open stays open and the focus stays where it is.
 * `make(item)` returns an object with `node`, and `update(item)`.
 */
export class KeyedList {
  constructor(container, make) {
    this.container = container;
    this.make = make;
    this.shown = new Map();
  }

  /** Show these items in this order; their parts. */
  show(items, keyOf) {
    const wanted = new Map(items.map((item) => [keyOf(item), item]));
    for (const [key, part] of this.shown) {
      if (!wanted.has(key)) {
        part.node.remove();
        this.shown.delete(key);
      }
    }
    let next = this.container.firstChild;
    for (const [key, item] of wanted) {
      let part = this.shown.get(key);
      if (part === undefined) this.shown.set(key, (part = this.make(item)));
      part.update(item);
      if (part.node === next) next = next.nextSibling;
      else this.container.insertBefore(part.node, next);
    }
    return [...wanted.keys()].map((key) => this.shown.get(key));
  }
}

/** Call a function at most once in a frame, or in so many milliseconds. */
export function coalesced(act, milliseconds = 0) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    const run = () => {
      waits = false;
      act();
    };
    if (milliseconds) setTimeout(run, milliseconds);
    else requestAnimationFrame(run);
  };
}

let lastWords = 0;

/** Words for screen readers: the newest, at most one a second. */
export function speak(words) {
  const wait = Math.max(0, lastWords + 1000 - performance.now());
  lastWords = performance.now() + wait;
  setTimeout(() => setText(byId("spoken"), words), wait);
}

/** Ask a question in a dialog; resolves to true for yes. */
export function confirmed(question, yes) {
  const dialog = byId("question");
  byId("question-text").textContent = question;
  byId("question-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
