// Calling the API that this page came from, with the token of the user who is signed in.

import { SignInUnavailable, session } from "./session.js";

/** Where the API's routes begin. */
export const base = new URL(".", location.href.split("#")[0]);

/** Nobody is signed in (any more), so there is nothing to show. */
export class SignedOut extends Error {}

/** The API refused or failed: a problem document (RFC 9457), or any other answer that is not a success. */
export class Problem extends Error {
  constructor(status, document, headers) {
    super(document?.detail ?? `The service answered ${status}.`);
    this.status = status;
    this.title = document?.title ?? "Unexpected answer";
    this.requestId = document?.request_id ?? headers?.get("X-Request-Id") ?? "";
    this.errors = document?.errors ?? [];
    this.dependencies = document?.dependencies ?? [];
    this.retryAfterS = Number(headers?.get("Retry-After")) || 0;
  }
}

/** Return the URL of a route, or the URL that a `Location` or `Link` refers to.
 *
 * Those hold the path as the API knows it, such as `/prod/dragons`. A proxy (or the embedded AWS) may serve the API below
 * a longer path, which then ends with the stage.
 */
export function resolve(reference) {
  const stage = `/${base.pathname.split("/").at(-2)}/`;
  if (!reference.startsWith(base.pathname) && reference.startsWith(stage)) {
    return new URL(reference.slice(stage.length), base);
  }
  return new URL(reference, base);
}

/** Send a request and return its answer: status, headers, text, and value if it is JSON. Throws Problem or SignedOut.
 *
 * A token that has expired is renewed first. While the user has to sign in again, the request waits.
 */
export async function call(method, reference, { headers = {}, body } = {}) {
  const { visit } = session;
  const content = body === undefined ? {} : { "Content-Type": "application/json" };
  for (let refused = null; ; ) {
    const token = await freshToken(refused);
    if (!token || session.visit !== visit) throw new SignedOut();
    const sent = { Authorization: `Bearer ${token}`, ...content, ...headers };
    const { response, text } = await answered(resolve(reference), { method, headers: sent, body });
    if (session.visit !== visit) throw new SignedOut(); // the answer is for a user who has signed out
    if (response.status === 401) {
      if (refused) session.interrupt("The service no longer accepts your token. Sign in again.");
      refused = token;
      continue;
    }
    const value = parsed(text, response.headers.get("Content-Type") ?? "");
    if (!response.ok) throw new Problem(response.status, value, response.headers);
    return { status: response.status, headers: response.headers, text, value };
  }
}

async function freshToken(refused) {
  try {
    return await session.fresh(refused);
  } catch (error) {
    if (!(error instanceof SignInUnavailable)) throw error;
    throw new Problem(0, { title: "No answer", detail: error.message });
  }
}

async function answered(url, request) {
  try {
    const response = await fetch(url, request);
    return { response, text: await response.text() };
  } catch {
    throw new Problem(0, { title: "No answer", detail: "The service cannot be reached. Try again in a moment." });
  }
}

/** Return where a `Link` header's `next` leads, or null. */
export function nextOf(headers) {
  return /<([^>]*)>\s*;\s*rel="next"/.exec(headers.get("Link") ?? "")?.[1] ?? null;
}

/** Return a random UUID. `crypto.randomUUID` exists on secure origins only. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function parsed(text, contentType) {
  if (!/[/+]json\b/.test(contentType)) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
