// One message's page: how it stands, what it says, and, if it was posted from here, that beside what is stored.

import { call } from "./api.js";
import { beside, members } from "./beside.js";
import { byId, element, facts, pause } from "./dom.js";
import { at, read, said, written } from "./exact.js";
import { keep, kept } from "./kept.js";
import { copyLink, empty, linkButton, lookAgain, timelineOf } from "./lists.js";
import { address } from "./routes.js";
import { session } from "./session.js";
import { moment } from "./times.js";

const POLL_FIRST_S = 0.3;
const POLL_MAX_S = 2;
const POLL_FOR_S = 60;
const KEPT_MAX = 20; // so many that are not stored outlive a reload

const STATUSES = { accepted: ["pending", "Accepted"], stored: ["added", "Stored"], refused: ["rejected", "Refused"] };
const STORED = "What you posted is stored, as it was sent.";
const OF_SEVERAL = Symbol("several companies have a message with the id");
const place = byId("message-shown");
const posted = new Map(); // what was posted from this tab, by its id: body, digest, company, status

/** Remember what was posted: its id, company, body, digest, and whether it was accepted or refused. */
export function remember(message) {
  posted.set(message.id, { at: new Date().toISOString(), ...message });
  keepPosted();
}

/** Find out what became of messages that were posted from this tab, and left before they were stored. */
export async function learnOf(messages) {
  for (const mine of messages) {
    try {
      const { value } = await call("GET", referenceOf(mine.id, mine.company));
      learn(mine, value);
    } catch {
      // nobody knows more than before
    }
  }
}

/** Learn from the stored message whether it is the one that was posted. */
function learn(mine, { digest }) {
  mine.status = mine.status === "refused" || mine.digest !== digest ? "refused" : "stored";
  if (mine.status === "stored") dispatchEvent(new CustomEvent("message-stored", { detail: mine.id }));
  keepPosted();
}

const keepPosted = () =>
  keep("posted", [...posted.values()].filter(({ status }) => status !== "stored").slice(-KEPT_MAX));

/** Return what was posted under an id, if it was from this tab. */
export const postedUnder = (id) => posted.get(id.toLowerCase());

/** Return what was posted from this tab for a company, the latest first. */
export const postedFor = (company) => [...posted.values()].filter((message) => message.company === company).reverse();

/** Go on with what the page before has kept, and forget all of it when the session ends. */
export function wireMessage() {
  session.addEventListener("start", () => {
    for (const message of kept("posted") ?? []) posted.set(message.id, message);
  });
  session.addEventListener("end", () => posted.clear());
}

/** Return the reference of a stored message. Only an operator may name its company, as links that they share do. */
export const referenceOf = (id, company) =>
  `message/${encodeURIComponent(id)}${company && session.isOperator ? `?${new URLSearchParams({ company_id: company })}` : ""}`;

/** Return the mark of a message's status. */
export const messageMark = (status) => element("span", { class: `status ${STATUSES[status][0]}` }, STATUSES[status][1]);

/** Show the message that the address names. If it was posted from here, wait until it is stored. */
export async function showMessage({ id, query: { company_id: company } }, signal) {
  const mine = postedUnder(id);
  byId("message-heading").textContent = `Message ${id.slice(0, 8)}`;
  const reference = referenceOf(id, company);
  place.replaceChildren(...(mine ? waiting(mine) : []));
  const deadline = Date.now() + (mine ? POLL_FOR_S * 1000 : 0);
  for (let seconds = POLL_FIRST_S; !signal.aborted; seconds = Math.min(POLL_MAX_S, seconds * 1.5)) {
    const answer = await asked(reference);
    if (signal.aborted) return;
    if (answer === OF_SEVERAL) return place.replaceChildren(whose(id));
    if (answer) return show(id, answer, mine);
    if (Date.now() >= deadline) return place.replaceChildren(mine ? late(id, mine) : nothing(id));
    await pause(seconds);
  }
}

/** Return the answer; null if no message is stored under the id (yet), and `OF_SEVERAL` if companies share the id. */
async function asked(reference) {
  try {
    return await call("GET", reference);
  } catch (error) {
    if (error.status === 404) return null;
    const unnamed = error.errors?.some(({ parameter }) => parameter === "company_id");
    if (unnamed && !reference.includes("company_id=")) return OF_SEVERAL;
    if (!error.retryAfterS) throw error;
    await pause(error.retryAfterS);
    return null;
  }
}

const waiting = (mine) => [
  element(
    "div",
    { class: `panel${mine.status === "refused" ? " bad" : ""}` },
    messageMark(mine.status),
    element("p", {}, WAITING[mine.status](mine)),
  ),
  members(read(mine.body)),
];

const refusal = ({ digest }) =>
  `This id belongs to another message, which stays as it is. Yours was ${digest ? "accepted, but not stored" : "not accepted"}.`;

// What is known before the stored message is there.
const WAITING = {
  accepted: () => "The queue has it, so it is not lost. It is about to be stored.",
  refused: refusal,
  stored: () => STORED,
};

function show(id, { text, value }, mine) {
  const stored = read(text);
  if (mine) learn(mine, value);
  const another = mine?.status === "refused";
  const company = value.metadata.company_id;
  place.replaceChildren(
    element(
      "div",
      { class: `panel${another ? " bad" : ""}` },
      messageMark(another ? "refused" : "stored"),
      element("p", {}, another ? `${refusal(mine)} What differs is in red.` : mine ? STORED : "It is stored, as it was sent."),
    ),
    facts([
      ["Message", element("code", {}, id)],
      ["Message time", moment(value.metadata.message_time)],
      ["Order time", moment(value.data.order_time)],
      ["Amount", element("b", {}, said(at(stored, "data", "order_amount")))],
    ]),
    another ? beside(read(mine.body), stored, "You posted") : members(stored),
    element(
      "p",
      { class: "buttons" },
      linkButton(
        address("messages", "new", { repeat: id, company_id: company }),
        another ? "Send yours under a new id" : "Repeat under a new id",
        another ? "" : "quiet",
      ),
      copyLink(),
    ),
    element(
      "details",
      {},
      element("summary", {}, "As the service returns it"),
      element("pre", { id: "stored", tabindex: 0 }, written(stored)),
    ),
  );
}

const late = (id, { status }) =>
  empty(
    ...(status === "accepted"
      ? [
          "It is not stored yet.",
          ["The queue has message ", element("code", {}, id), ", and it is not lost. It may take a few minutes when there is much to do."],
        ]
      : [
          "What is stored cannot be read yet.",
          ["Something is stored under ", element("code", {}, id), ". It may take a moment to be seen."],
        ]),
    lookAgain(),
    linkButton(address("messages"), "See your messages"),
    ...timelineOf(id),
  );

const whose = (id) =>
  empty(
    "Several companies have a message with this id.",
    "Its timeline links to each of them.",
    ...timelineOf(id),
    linkButton(address("messages"), "A company’s messages"),
  );

const nothing = (id) =>
  empty(
    "No message is stored under this id.",
    `${id} may be another company’s, or on its way: what was posted a moment ago may take a second.`,
    lookAgain(),
    linkButton(address("messages"), "See your messages"),
    ...timelineOf(id),
  );
