// Requests to REST, with the token of this tab if there is one.

const KEY = "evbridge.token";
//: Items of one part of a list.
const PART = 500;

export class RestError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

export function headers(more = {}) {
  const text = token.get();
  return text === null ? more : { ...more, Authorization: `Bearer ${text}` };
}

/** The answer to a request; RestError if it is none of success, TypeError if there is no server. */
async function answer(path, options = {}) {
  // A standby refers to the leader, another origin; the page says so instead of following.
  const response = await fetch(path, { redirect: "manual", ...options, headers: headers(options.headers) });
  if (response.type === "opaqueredirect") throw new RestError(307, "another member of the cluster leads");
  if (!response.ok) throw new RestError(response.status, await reason(response));
  return response;
}

async function reason(response) {
  try {
    const body = await response.json();
    return [body.error, ...(body.mistakes ?? [])].join("\n");
  } catch {
    return response.statusText;
  }
}

export const get = async (path) => (await answer(path)).json();

export async function change(method, path) {
  return (await answer(path, { method, headers: { "Content-Type": "application/json" } })).json();
}

/** Yield the parts of a list, following the header Link; `path` has a query or none. */
export async function* parts(path, limit = PART) {
  let next = `${path}${path.includes("?") ? "&" : "?"}limit=${limit}`;
  while (next !== null) {
    const response = await answer(next);
    const items = await response.json();
    next = /^<([^>]+)>; rel="next"$/.exec(response.headers.get("Link") ?? "")?.[1] ?? null;
    yield { items, more: next !== null };
  }
}

/** The picture of the cluster as a parsed document, whose scripts, if any, do not run. */
export function svg(path) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", path);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.responseType = "document";
    request.onload = () =>
      request.status === 200 && request.responseXML
        ? resolve(request.responseXML.documentElement)
        : reject(new RestError(request.status, "no picture"));
    request.onerror = () => reject(new TypeError("no server"));
    request.send();
  });
}
