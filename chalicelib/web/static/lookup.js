// The field at the top that takes anything: a dragon's name, a message's or submission's id, an order's, a company's, an
// ARN, an address. While one types, it suggests dragons.

import { call, Problem, SignedOut } from "./api.js";
import { byId, element, pause } from "./dom.js";
import { familyMark, placeOf } from "./dragons.js";
import { empty, linkButton, lookAgain, timelineOf } from "./lists.js";
import { companyNamed } from "./messages.js";
import { address, go, instead, route } from "./routes.js";
import { session } from "./session.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const KEYED = /^[\w-]{43}$/; // the id of a report with an idempotency key
const TYPING_S = 0.12; // if you type faster, the API is not asked for each letter
const SUGGESTED_MAX = 6;
const ORDERS_MAX = 1000; // the messages among which an order is looked for: what one page may have

const field = byId("lookup-text");
const list = byId("lookup-found");
let active = -1;
let latest = 0;

/** Wire the field. */
export function wireLookup() {
  field.addEventListener("input", suggest);
  field.addEventListener("keydown", useKeys);
  field.addEventListener("blur", () => close());
  byId("lookup").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (active >= 0) open(list.children[active].dataset.address);
    else if (text) open(addressIn(text) ?? address("find", "", { q: text }));
  });
  for (const [target, event] of [
    [session, "end"],
    [globalThis, "hashchange"],
  ]) {
    target.addEventListener(event, () => {
      field.value = "";
      close();
    });
  }
}

/** Look up what the address asks for. Go there if there is such a thing, or say that there is none. */
export async function showFind({ query: { q = "" } }, signal) {
  const place = byId("find-shown");
  place.replaceChildren(element("p", { class: "note" }, `Looking for ${q} …`));
  const found = q && (await locate(q));
  if (signal.aborted) return;
  if (found) instead(found);
  else place.replaceChildren(nothing(q));
}

function nothing(text) {
  const id = lastPart(text);
  const name = UUID.test(id) || KEYED.test(id) ? "" : id;
  return empty(
    name || !id ? `Nothing here is called ${name || "that"}.` : `Nothing that you may see has the id ${id}.`,
    name
      ? "No dragon’s name begins like that. You may be the first to report it."
      : id && whyNot(),
    lookAgain(),
    name
      ? linkButton(address("reports", "new", { name }), "Report it", "")
      : linkButton(address("messages"), "See your messages"),
    ...(id ? timelineOf(id) : []),
  );
}

/** Return why an id may lead to nothing here. */
function whyNot() {
  if (!session.isOperator) return "What was posted or reported a moment ago may take a second. Requests have no page here.";
  const orders = whoseOrders()
    ? "Orders are looked up among the latest messages of the company that you have named last."
    : "To find an order, show its company’s messages first.";
  return [`${orders} A request’s id is in the logs: `, element("code", {}, "make trace"), " looks there."];
}

const whoseOrders = () => companyNamed() || session.company;

/** Return the address of what a text names, or null. */
async function locate(text) {
  const id = lastPart(text);
  const attempts = UUID.test(id)
    ? [submission, message, order, company]
    : KEYED.test(id)
      ? [submission, dragon, prefix]
      : [dragon, prefix];
  const found = await Promise.all(attempts.map((attempt) => attempt(id)));
  return found.find(Boolean) ?? (UUID.test(id) ? letter(id) : null);
}

/** Return the address of a dead letter. Looking at the letters takes a second, so they come last. */
const letter = async (id) =>
  session.isOperator && (await asked(`operator/dead-letters/${id}`)) ? address("letters", id) : null;

const submission = async (id) => (await asked(`submissions/${id}`)) && address("reports", id);

const dragon = async (name) => {
  const answer = await asked(`dragons/${encodeURIComponent(name)}`);
  return answer && address("dragons", answer.value.dragon_name_str);
};

const prefix = async (namePrefix) => {
  const answer = await asked(`dragons?${new URLSearchParams({ namePrefix, limit: 1 })}`);
  return answer?.value.length && address("dragons", "", { namePrefix });
};

const message = async (id) => {
  const answer = await asked(`message/${id}`, {}); // its page says which companies have it
  return answer && address("messages", id, session.isOperator ? { company_id: answer.value?.metadata.company_id } : {});
};

async function order(id) {
  const company = whoseOrders();
  if (!company) return null;
  const answer = await asked(`messages?${new URLSearchParams({ company_id: company, limit: ORDERS_MAX })}`);
  const found = answer?.value.find((each) => each.order_id === id.toLowerCase());
  return found && address("messages", found.message_id, session.isOperator ? { company_id: found.company_id } : {});
}

async function company(id) {
  if (!session.isOperator) return id.toLowerCase() === session.company.toLowerCase() ? address("messages") : null;
  const answer = await asked(`messages?company_id=${id}&limit=1`);
  return answer?.value.length && address("messages", "", { company_id: id });
}

/** Return the answer, or null if there is no such thing, or none that this user may see.
 *
 * `several` is the answer if several companies have such a thing.
 */
async function asked(reference, several = null) {
  try {
    return await call("GET", reference);
  } catch (error) {
    if (error.errors?.some(({ parameter }) => parameter === "company_id")) return several;
    if ([400, 403, 404].includes(error.status)) return null;
    throw error;
  }
}

/** Return what comes last in an address of the API, an ARN or the key of a stored message: the id. */
function lastPart(text) {
  const [path] = text.split(/[?#]/);
  const part = path.split(/[/:]/).pop().replace(/^([0-9a-f-]{36})\.json$/i, "$1");
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Return the fragment if a text is an address of the console. */
const addressIn = (text) => (text.includes("#/") ? text.slice(text.indexOf("#/")) : null);

async function suggest() {
  const number = ++latest;
  const text = field.value.trim();
  if (!text) return close();
  await pause(TYPING_S);
  if (number !== latest) return;
  const offers = UUID.test(lastPart(text)) || text.includes("/") ? [anyId(text)] : await dragons(text);
  if (number === latest && document.activeElement === field) show(offers);
}

const anyId = (text) => offer(address("find", "", { q: text }), element("b", {}, "Look up this id"), lastPart(text));

async function dragons(namePrefix) {
  try {
    const { value } = await call("GET", `dragons?${new URLSearchParams({ namePrefix, limit: SUGGESTED_MAX + 1 })}`);
    const offers = value
      .slice(0, SUGGESTED_MAX)
      .map((found) =>
        offer(
          address("dragons", found.dragon_name_str),
          element("b", {}, found.dragon_name_str),
          familyMark(found.family_str),
          placeOf(found),
        ),
      );
    if (value.length > SUGGESTED_MAX)
      offers.push(offer(address("dragons", "", { namePrefix }), `All whose names begin with “${namePrefix}”`));
    return offers.length
      ? offers
      : [
          offer(
            address("find", "", { q: namePrefix }),
            `No dragon’s name begins with “${namePrefix}”. Look for it everywhere.`,
          ),
        ];
  } catch (error) {
    if (error instanceof Problem || error instanceof SignedOut) return []; // Enter says what is wrong
    throw error;
  }
}

function offer(to, ...parts) {
  const made = element(
    "li",
    { role: "option", "data-address": to, "aria-selected": "false" },
    parts.map((part) => element("span", {}, part)),
  );
  made.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the field would lose the focus, and the list with it
    open(to);
  });
  return made;
}

function show(offers) {
  offers.forEach((made, index) => (made.id = `lookup-${index}`));
  list.replaceChildren(...offers);
  list.hidden = offers.length === 0;
  field.setAttribute("aria-expanded", String(!list.hidden));
  choose(-1);
}

function choose(index) {
  active = index;
  [...list.children].forEach((made, at) => made.setAttribute("aria-selected", String(at === index)));
  if (index < 0) field.removeAttribute("aria-activedescendant");
  else {
    field.setAttribute("aria-activedescendant", list.children[index].id);
    list.children[index].scrollIntoView({ block: "nearest" });
  }
}

function useKeys(event) {
  const count = list.children.length;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && count) {
    event.preventDefault();
    choose(((active + step + count + 2) % (count + 1)) - 1); // round through the field itself, which is -1
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (list.hidden && !field.value) byId(`${route().view}-heading`).focus();
    if (list.hidden) field.value = "";
    close();
  }
}

function close() {
  latest++;
  show([]);
}

function open(to) {
  field.value = "";
  close();
  field.blur();
  go(to);
}
