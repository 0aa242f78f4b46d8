// For operators: whether what the service depends on is well, and the messages that could not be stored.

import { call } from "./api.js";
import { byId, element, table } from "./dom.js";
import { counted, empty, linkButton, replaceEntries, walkWithArrows } from "./lists.js";
import { address } from "./routes.js";
import { age } from "./times.js";

const HEADINGS = ["Why", "Age", "Message", "Company"];

// By how a reason begins: what it means, and what can be done.
const REASONS = [
  [
    /^conflict:/,
    "Another message is stored under its id",
    "What is stored stays. Ask the company which one is right. If both are, send this one anew under another id. If only " +
      "the stored one is, delete this letter.",
  ],
  [
    /^invalid:/,
    "It is not a valid message",
    "It came from somewhere other than the API, or it is too large. Correct it and send it anew, or delete this letter.",
  ],
  [
    /^unreadable:/,
    "It cannot be read",
    "It is no JSON, and came from somewhere other than the API. Correct it and send it anew, or delete this letter.",
  ],
  [
    /^failed every delivery/,
    "Storing it failed every time",
    "Something that the service needs was ill. Its timeline and the logs say more. Once that is mended, redrive the letter.",
  ],
];

const list = byId("letters-list");
const health = byId("ready");

/** Wire the list. */
export function wireLetters() {
  byId("letters-refresh").addEventListener("click", () => dispatchEvent(new Event("hashchange")));
  walkWithArrows(list);
}

/** Return what a letter's reason means, in people's words, and what can be done about it, if anybody has said so. */
export function meaningOf(reason) {
  const [, words = reason, advice = ""] = REASONS.find(([begins]) => begins.test(reason)) ?? [];
  return { words, advice };
}

/** Show how the service is, and the letters. */
export async function showLetters({ query }, signal) {
  list.setAttribute("aria-busy", "true");
  byId("letters-summary").textContent = "Looking …";
  try {
    const [{ value }] = await Promise.all([call("GET", "operator/dead-letters"), showHealth(signal)]);
    if (signal.aborted) return;
    const { count, dead_letters: letters } = value;
    replaceEntries(list, letters.length ? table("entries", HEADINGS, letters.map(row)) : nothing(count));
    byId("letters-summary").replaceChildren(
      counted(letters.length, "letter", query, false),
      ...(count > letters.length && letters.length ? theOthers(count) : []),
    );
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
}

/** Say how the service is. If this user may not know, or this stage does not say, the letters' answer says so. */
async function showHealth(signal) {
  health.replaceChildren();
  try {
    await call("GET", "ready");
    if (!signal.aborted) sayHealth("added", "Ready", "Everything that the functions call answers.");
  } catch (error) {
    if (error.status === undefined) throw error;
    if (signal.aborted || error.status === 403 || error.status === 501) return;
    const ill = error.dependencies.filter(({ status }) => status !== "ok");
    const words = ill.map(({ name, reason }) => (reason ? `${name} (${reason})` : name)).join(", ");
    sayHealth("failed", "Not ready", words ? `Ill: ${words}` : error.message);
  }
}

const sayHealth = (kind, status, words) =>
  health.replaceChildren(element("span", { class: `status ${kind}` }, status), ` ${words}`);

const row = ({ letter_id: id, reason, sent_at: sent, message_id: message, company_id: company }) =>
  element(
    "tr",
    {},
    element(
      "th",
      { scope: "row" },
      element("a", { href: address("letters", id), "data-entry": true }, meaningOf(reason).words),
    ),
    element("td", { class: "when" }, age(sent)),
    named("Message", message),
    named("Company", company),
  );

/** Return how to get to letters that are not shown. */
const theOthers = (count) => [
  `, of about ${count}. The queue has no pages, and gives out some of its letters: `,
  "look again for others, or settle these first. ",
  element("code", {}, "make dead-letters"),
  " lists all of them.",
];

const named = (label, id) => element("td", { "data-label": label }, element("code", {}, id ?? "not known"));

const nothing = (count) =>
  count
    ? empty(
        "Nobody can see a letter right now.",
        `The queue counts about ${count}. Somebody else may be looking at them, or they were just settled.`,
        linkButton(address("timeline"), "Look at one id’s timeline"),
      )
    : empty(
        "There are no dead letters.",
        "Every message that was accepted is stored, or on its way. If somebody misses one, its timeline says where it is.",
        linkButton(address("timeline"), "Look at one id’s timeline", ""),
      );
