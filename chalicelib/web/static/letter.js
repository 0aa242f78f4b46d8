// One dead letter's page: why it is one, what it says beside what is stored, and what an operator can do with it.

import { call } from "./api.js";
import { beside, members } from "./beside.js";
import { askTwice, byId, element, facts, pause } from "./dom.js";
import { at, compared, read, said, written } from "./exact.js";
import { clearFaults, field, showProblem } from "./fields.js";
import { draftOf, keepDraft } from "./kept.js";
import { meaningOf } from "./letters.js";
import { copyLink, empty, linkButton, lookAgain, timelineOf } from "./lists.js";
import { remember } from "./message.js";
import { address, go } from "./routes.js";
import { session } from "./session.js";
import { moment } from "./times.js";

const FILE_KEPT_S = 60; // for the browser to save it
const TITLES = { 404: "The letter is not there", 412: "The letter has changed since you saw it" };

const place = byId("letter-shown");
const drafts = new Map(); // what was typed, by the letter's id

/** Forget what was typed when the session ends. */
export const wireLetter = () => session.addEventListener("end", () => drafts.clear());

/** Show the letter that the address names. */
export async function showLetter({ id }, signal) {
  byId("letter-heading").textContent = `Letter ${id.slice(0, 8)}`;
  place.replaceChildren(element("p", { class: "note", role: "status" }, "Looking for the letter …"));
  const path = `operator/dead-letters/${encodeURIComponent(id)}`;
  try {
    const { value, text, headers } = await call("GET", path);
    if (signal.aborted) return;
    const stored = at(read(text), "stored");
    show({
      ...value,
      path,
      signal,
      text,
      etag: headers.get("ETag"),
      message: messageIn(value.body),
      stored: stored.members ? stored : null,
    });
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren();
    if (error.status !== 404) throw error;
    place.replaceChildren(nothing(id));
  }
}

/** Return a body as nodes, or null if it is no JSON object. */
function messageIn(body) {
  try {
    JSON.parse(body);
    const message = read(body);
    return message.members ? message : null;
  } catch {
    return null;
  }
}

function show(letter) {
  const { words, advice } = meaningOf(letter.reason);
  const { letter_id: id, message_id: message, company_id: company, attributes } = letter;
  place.replaceChildren(
    element(
      "div",
      { class: "panel bad" },
      element("span", { class: "status rejected" }, "Not stored"),
      element("h3", {}, words),
      advice ? element("p", {}, advice) : null,
      element(
        "details",
        {},
        element("summary", {}, "In the service’s own words"),
        element("pre", { tabindex: 0 }, letter.reason),
      ),
    ),
    facts([
      ["Sent to this queue", moment(letter.sent_at)],
      ["Message", message && element("code", {}, message)],
      ["Company", company && element("code", {}, company)],
      ["Request", typeof attributes.correlation_id === "string" && element("code", {}, attributes.correlation_id)],
      ["Letter", element("code", {}, id)],
    ]),
    ...contents(letter),
    actions(letter),
    element("p", { class: "buttons" }, timelineOf(message ?? id), copyLink()),
  );
}

function contents({ body, message, stored }) {
  if (!message) return [element("p", {}, "It is no JSON object. It says:"), element("pre", { tabindex: 0 }, body)];
  if (!stored) return [members(message)];
  const same = compared(message, stored).every((row) => row.same);
  return [
    element("p", {}, same ? "It says what is stored, so nobody needs this letter." : "What differs is in red."),
    beside(message, stored, "This letter"),
  ];
}

const actions = (letter) =>
  element("div", { class: "actions" }, redriving(letter), editing(letter), deleting(letter));

const action = (heading, words, ...parts) =>
  element("section", { class: "panel" }, element("h3", {}, heading), element("p", { class: "note" }, words), parts);

const button = (text, kind, onclick, disabled = false) =>
  element("button", { type: "button", class: kind, onclick, disabled }, text);

const alertBox = () => element("div", { role: "alert" });

function redriving(letter) {
  const box = alertBox();
  const send = () =>
    doing(box, async () => {
      await call("POST", `${letter.path}/redrive`);
      forgetDraft(letter.letter_id);
      done(
        letter,
        "It is on its way again.",
        "If it cannot be stored this time either, it comes back as another letter.",
        ...(letter.message_id ? [linkButton(messageAddress(letter), "See its message", "")] : []),
      );
    });
  return action(
    "Redrive",
    "Sends its message to the queue again, as it is. Do so once its cause is gone.",
    box,
    element("p", { class: "buttons" }, button("Redrive", letter.message ? "" : "quiet", send)),
  );
}

function editing(letter) {
  const { letter_id: id, body, message } = letter;
  const box = alertBox();
  const text = field("letter-text", "message", "The message, as JSON", {
    tag: "textarea",
    rows: 16,
    spellcheck: "false",
    hint: "What is stored never changes. If the message’s id is taken, give this one another.",
  });
  const form = element("form", { hidden: true, "aria-label": "Edit" }, text, box);
  const area = form.elements.message;
  const typed = drafts.get(id) ?? draftOf("letters", id);
  area.value = typed ?? (message ? written(message) : body);
  area.addEventListener("input", () => {
    drafts.set(id, area.value);
    keepDraft("letters", id, area.value);
  });
  const edit = button("Edit", "quiet", () => {
    form.hidden = false;
    edit.hidden = true;
    area.focus();
  });
  const send = button("Send anew", "");
  askTwice(send, "Really send it? The letter goes.", () => doing(box, () => replace(letter, area.value), form));
  form.append(element("p", { class: "buttons" }, send));
  if (typed !== null) edit.click();
  return action(
    "Edit and send anew",
    "Posts another message in its place, as if it came from its company. The letter is gone then.",
    element("p", { class: "buttons" }, edit),
    form,
  );
}

function forgetDraft(id) {
  drafts.delete(id);
  keepDraft("letters", id, null);
}

async function replace({ letter_id: id, path, etag, signal }, body) {
  const { value } = await call("POST", `${path}/replace`, { headers: { "If-Match": etag }, body });
  forgetDraft(id);
  const company_id = said(at(read(body), "metadata", "company_id")).toLowerCase();
  remember({ id: value.message_id, company: company_id, body, status: "accepted", digest: value.digest });
  if (!signal.aborted) go(messageAddress({ message_id: value.message_id, company_id }));
}

function deleting(letter) {
  const { letter_id: id, path, etag, text } = letter;
  const box = alertBox();
  const remove = button("Delete", "grave", null, true);
  askTwice(remove, "Really delete it?", () =>
    doing(box, async () => {
      await call("DELETE", path, { headers: { "If-Match": etag } });
      forgetDraft(id);
      done(letter, "The letter is deleted.", `You have saved it as ${fileOf(id)}.`);
    }),
  );
  const saveIt = () => {
    save(fileOf(id), text);
    remove.disabled = false;
  };
  return action(
    "Delete after saving",
    "Takes the letter away for good. Save it first, with what is stored beside it.",
    box,
    element("p", { class: "buttons" }, button("Save as JSON", "quiet", saveIt), remove),
  );
}

const fileOf = (id) => `letter-${id}.json`;

async function save(name, text) {
  const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("a", { href, download: name }).click();
  await pause(FILE_KEPT_S);
  URL.revokeObjectURL(href);
}

/** Do something with the letter. What goes wrong is told in the box, and at the form's field if there is one. */
async function doing(box, act, form = null) {
  if (place.hasAttribute("aria-busy")) return;
  place.setAttribute("aria-busy", "true");
  clearFaults(form ?? box, box);
  try {
    await act();
  } catch (error) {
    error.title = TITLES[error.status] ?? error.title;
    error.errors = error.errors?.map(atTheField);
    showProblem(error, box, form);
    if (error.status in TITLES || error.status === 409) box.append(element("p", { class: "buttons" }, lookAgain()));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Return a fault as one of the only field, with its place in the words. */
const atTheField = (fault) =>
  fault.pointer ? { pointer: "#message", detail: `${fault.pointer.slice(1)} ${fault.detail}`.trim() } : fault;

/** Say what was done, in place of the letter, unless the user has gone elsewhere. */
function done({ signal }, heading, text, ...steps) {
  if (signal.aborted) return;
  const told = empty(heading, text, ...steps, linkButton(address("letters"), "All letters"));
  told.tabIndex = -1;
  place.replaceChildren(told);
  told.focus();
}

const messageAddress = ({ message_id, company_id }) => address("messages", message_id, { company_id });

const nothing = (id) =>
  empty(
    "This letter is not there.",
    "Somebody has redriven or deleted it, or is looking at it right now. A letter that failed again after it was redriven has another id.",
    lookAgain(),
    linkButton(address("letters"), "All letters"),
    ...timelineOf(id),
  );
