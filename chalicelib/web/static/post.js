// Posting an order message. The form keeps what was typed until the message is stored, or its id is taken by another. A
// reload loses none of it.

import { call, Problem, uuid } from "./api.js";
import { watchTyping } from "./aside.js";
import { byId } from "./dom.js";
import { at, read, said, written } from "./exact.js";
import { clearFaults, showProblem, typedIn, typeInto } from "./fields.js";
import { keep, kept } from "./kept.js";
import { postedUnder, referenceOf, remember } from "./message.js";
import { address, go, instead } from "./routes.js";
import { session } from "./session.js";

const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const OF_METADATA = ["message_time", "company_id", "message_id"];
const OF_DATA = ["order_id", "order_time", "order_amount"];

const form = byId("message-form");
const box = byId("post-problem");
const note = byId("repeated");
const idField = form.elements.namedItem("/metadata/message_id");
const typing = watchTyping(form, byId("post-aside"), () => {
  if (postedUnder(idField.value.trim().toLowerCase())) idField.value = uuid();
  sayRepeats("");
  clearFaults(form, box);
  keepForm();
});
let repeats = ""; // the id of the message that the form repeats, if it does

/** Wire the form. */
export function wirePost() {
  byId("message-example").addEventListener("click", fillInExample);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    post();
  });
  form.addEventListener("input", keepForm);
  addEventListener("message-stored", ({ detail }) => takeFreshId(detail));
  session.addEventListener("start", goOn);
  session.addEventListener("end", forget);
}

/** Show the form: with a message to repeat if the address names one, with what was typed, or with an example. */
export async function showPost({ query: { repeat, company_id: company } }, signal) {
  if (repeat) await repeated(repeat, company, signal);
  else if (!idField.value) fillInExample();
}

/** Go on with what was typed on the page before. */
function goOn() {
  const { typed, repeats: id, typing: before } = kept("message") ?? {};
  if (typed) fill(typed, id);
  typing.restore(before);
  if (typed) keepForm();
}

const keepForm = () => keep("message", { typed: typedIn(form), repeats, typing: typing.state() });

/** Forget what was typed. */
function forget() {
  form.reset();
  typing.restore(null);
  sayRepeats("");
  clearFaults(form, box);
}

function fillInExample() {
  const now = new Date();
  fill({
    "/metadata/message_id": uuid(),
    "/metadata/message_time": now.toISOString(),
    "/metadata/company_id": session.company || uuid(), // an operator may have none, and may post for any
    "/data/order_id": uuid(),
    "/data/order_time": new Date(now - 2 * 60 * 1000).toISOString(),
    "/data/order_amount": (Math.floor(Math.random() * 20_000) / 100).toFixed(2),
    "/data": "",
  });
}

/** Fill in a message that was posted from here, or one that is stored, under a new id.
 *
 * The address that asked for it gives way, or a reload would undo what is changed.
 */
async function repeated(id, company, signal) {
  const text = postedUnder(id)?.body ?? (await call("GET", referenceOf(id, company))).text;
  if (signal.aborted) return;
  const message = read(text);
  const further = at(message, "data").members.filter(([name]) => !OF_DATA.includes(name));
  const typed = {
    ...Object.fromEntries(OF_METADATA.map((name) => [`/metadata/${name}`, said(at(message, "metadata", name))])),
    ...Object.fromEntries(OF_DATA.map((name) => [`/data/${name}`, said(at(message, "data", name))])),
    "/data": further.map(([name, member]) => `${JSON.stringify(name)}: ${written(member)}`).join(",\n"),
    "/metadata/message_id": uuid(),
  };
  fill(typed, id);
  instead(address("messages", "new"));
}

function fill(typed, repeated = "") {
  typing.putAside();
  typeInto(form, typed);
  sayRepeats(repeated);
  clearFaults(form, box);
  keepForm();
}

function sayRepeats(id) {
  repeats = id;
  note.textContent = `This repeats message ${id} under a new id.`;
  note.hidden = !id;
}

async function post() {
  clearFaults(form, box);
  const typed = typedIn(form);
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const body = bodyOf();
    const sent = { id: idField.value.trim().toLowerCase(), company: text("/metadata/company_id").toLowerCase(), body };
    try {
      const { value } = await call("POST", "post-message", { body });
      remember({ ...sent, status: "accepted", digest: value.digest });
    } catch (error) {
      if (error.status !== 409) throw error;
      remember({ ...sent, status: "refused" });
    }
    typing.sent(typed);
    keepForm();
    go(address("messages", sent.id, session.isOperator ? { company_id: sent.company } : {}));
  } catch (error) {
    showProblem(error, box, form);
  } finally {
    button.disabled = false;
  }
}

const text = (name) => form.elements.namedItem(name).value.trim();

/** Return the message as JSON. An amount is sent digit for digit, or as text if it is not a number. */
function bodyOf() {
  const members = (parent, names) =>
    names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(text(`${parent}${name}`))}`);
  const amount = text("/data/order_amount");
  const metadata = members("/metadata/", OF_METADATA);
  const data = members("/data/", ["order_id", "order_time"]);
  data.push(`"order_amount":${JSON_NUMBER.test(amount) ? amount : JSON.stringify(amount)}`);
  return `{"metadata":{${metadata}},"data":{${[...data, ...further()]}}}`;
}

/** Return the further members of the data as they were typed, with or without the braces around them. */
function further() {
  const typed = text("/data");
  const members = typed.startsWith("{") && typed.endsWith("}") ? typed.slice(1, -1).trim() : typed;
  try {
    JSON.parse(`{${members}}`);
  } catch {
    throw new Problem(400, {
      title: "The message cannot be sent",
      detail: "Its further data is not JSON.",
      errors: [{ pointer: "#/data", detail: "must be the members of a JSON object" }],
    });
  }
  return members ? [members] : [];
}

/** Give the form another id, unless the user has done so: under the old one, the service takes no other message. */
function takeFreshId(used) {
  if (idField.value.trim().toLowerCase() !== used) return;
  idField.value = uuid();
  sayRepeats("");
  keepForm();
}
