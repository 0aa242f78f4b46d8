// Posting an order message, and seeing it accepted and then stored, or another payload in its place.

import { call, uuid } from "./api.js";
import { byId, element, pause } from "./dom.js";
import { clearFaults, showProblem } from "./fields.js";
import { session } from "./session.js";

const POLL_FIRST_S = 0.3;
const POLL_MAX_S = 2;
const POLL_FOR_S = 60;
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

const form = byId("message-form");
const box = byId("message-problem");
const log = byId("message-log");
const stored = byId("stored");
let followed = 0;

/** Wire the form. */
export function wireMessages() {
  byId("message-example").addEventListener("click", fillInExample);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    post();
  });
  session.addEventListener("start", fillInExample);
  session.addEventListener("end", () => {
    followed++;
    form.reset();
    forget();
  });
}

function fillInExample() {
  const now = new Date();
  const earlier = new Date(now - 2 * 60 * 1000);
  const example = {
    "/metadata/message_id": uuid(),
    "/metadata/message_time": now.toISOString(),
    "/metadata/company_id": session.company || uuid(), // an operator may have none, and may post for any
    "/data/order_id": uuid(),
    "/data/order_time": earlier.toISOString(),
    "/data/order_amount": (Math.floor(Math.random() * 20_000) / 100).toFixed(2),
  };
  for (const [name, value] of Object.entries(example)) form.elements.namedItem(name).value = value;
  clearFaults(form, box);
}

async function post() {
  forget();
  const number = ++followed;
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const answer = await call("POST", "post-message", { body: bodyOf(form) });
    const { message_id, status, digest } = answer.value;
    if (status === "accepted") tell("accepted", `Accepted: the queue has message ${message_id}.`);
    else tell("accepted", `Known: message ${message_id} was stored before, and nothing was queued.`);
    log.focus();
    await follow(answer.headers.get("Location"), { message_id, digest }, number);
  } catch (error) {
    if (number === followed) showProblem(error, box, form);
  } finally {
    button.disabled = false;
  }
}

/** Ask until a message is stored under the id, and tell whether it is the one that was posted: its digest says so. */
async function follow(location, posted, number) {
  const deadline = Date.now() + POLL_FOR_S * 1000;
  const waiting = tell("waiting", "Not stored yet: so far, the service answers 404.", true);
  for (let seconds = POLL_FIRST_S; Date.now() < deadline; seconds = Math.min(POLL_MAX_S, seconds * 1.5)) {
    const answer = await asked(location);
    if (number !== followed) return;
    if (answer) {
      waiting.remove();
      if (answer.value.digest === posted.digest) {
        takeFreshId(posted.message_id);
        tell("stored", "Stored: below is what the service returns. The form has a fresh id for the next message.");
      } else {
        tell("conflict", "Another payload is stored under this id. Yours was not stored; below is the other one.");
      }
      stored.textContent = indented(answer.text);
      stored.hidden = false;
      return;
    }
    waiting.hidden = false;
    await pause(seconds);
  }
  waiting.remove();
  tell("waiting", `Not stored after ${POLL_FOR_S} seconds. It was accepted and is not lost. Look for it again later.`);
}

/** Give the form another id, unless the user has done so: under the old one, the service takes no other message. */
function takeFreshId(used) {
  const field = form.elements.namedItem("/metadata/message_id");
  if (field.value.trim().toLowerCase() === used) field.value = uuid();
}

/** Return the answer, or null if the message is not stored yet. */
async function asked(location) {
  try {
    return await call("GET", location);
  } catch (error) {
    if (error.status === 404) return null;
    if (!error.retryAfterS) throw error;
    await pause(error.retryAfterS);
    return null;
  }
}

/** Return the message as JSON. An amount is sent digit for digit, or as text if it is not a number. */
function bodyOf(form) {
  const text = (name) => form.elements.namedItem(name).value.trim();
  const members = (parent, names) => names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(text(`${parent}${name}`))}`);
  const amount = text("/data/order_amount");
  const metadata = members("/metadata/", ["message_time", "company_id", "message_id"]);
  const data = members("/data/", ["order_id", "order_time"]);
  data.push(`"order_amount":${JSON_NUMBER.test(amount) ? amount : JSON.stringify(amount)}`);
  return `{"metadata":{${metadata}},"data":{${data}}}`;
}

/** Indent JSON without parsing it: a number that JavaScript cannot hold stays as it was sent. */
function indented(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return json.replace(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g, (token) => {
    if (token === "{" || token === "[") return token + (depth++, line());
    if (token === "}" || token === "]") return (depth--, line()) + token;
    if (token === ",") return token + line();
    return token === ":" ? ": " : token;
  });
}

function tell(kind, text, hidden = false) {
  const entry = element("li", { "data-status": kind, hidden }, text);
  log.append(entry);
  return entry;
}

function forget() {
  clearFaults(form, box);
  log.replaceChildren();
  stored.textContent = "";
  stored.hidden = true;
}
