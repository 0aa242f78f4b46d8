// A company's messages, the latest first, between two times.

import { call } from "./api.js";
import { byId, element, table } from "./dom.js";
import { at, read, said } from "./exact.js";
import { counted, empty, linkButton, replaceEntries, showPages, walkWithArrows } from "./lists.js";
import { learnOf, messageMark, postedFor } from "./message.js";
import { address, go, instead } from "./routes.js";
import { session } from "./session.js";
import { dayBegan, instantOf, localOf, moment } from "./times.js";

const PAGE_SIZE = 25;
const HEADINGS = ["Accepted", "Amount", "Order", "Message", "Status"];

const form = byId("messages-filter");
const list = byId("messages-list");
let company = ""; // the last one that an operator has named

/** Wire the filter. */
export function wireMessages() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { company_id, from, to } = form.elements;
    go(
      address("messages", "", {
        company_id: company_id.value.trim(),
        from: instantOf(from.value),
        to: instantOf(to.value),
      }),
    );
  });
  session.addEventListener("end", () => (company = ""));
  walkWithArrows(list);
}

/** Return the company that an operator has named last, or nothing. */
export const companyNamed = () => company;

/** Show the messages that the address asks for. */
export async function showMessages(asked, signal) {
  const { query } = asked;
  const named = query.company_id ?? (session.isOperator ? company || session.company : "");
  if (session.isOperator && named && !query.company_id)
    return instead(address("messages", "", { ...query, company_id: named }));
  showFilter(query, named);
  const whose = (named || session.company).toLowerCase();
  const pages = byId("messages-pages");
  byId("messages-post").hidden = form.hidden = !whose && !session.isOperator;
  if (!whose) {
    pages.replaceChildren();
    byId("messages-summary").textContent = "";
    return list.replaceChildren(session.isOperator ? whichCompany() : noCompany());
  }
  list.setAttribute("aria-busy", "true");
  try {
    const wanted = {
      limit: PAGE_SIZE,
      ...Object.fromEntries(["from", "to", "cursor"].filter((name) => query[name]).map((name) => [name, query[name]])),
    };
    if (named) wanted.company_id = named;
    const answer = await call("GET", `messages?${new URLSearchParams(wanted)}`);
    if (signal.aborted) return;
    if (session.isOperator) company = named;
    const left = query.cursor || query.to ? [] : notListed(whose, answer.value);
    await learnOf(left.filter(({ status }) => status === "accepted"));
    if (signal.aborted) return;
    const rows = [...onTheirWay(left), ...stored(answer)].sort((a, b) => new Date(b.at) - new Date(a.at));
    replaceEntries(list, rows.length ? table("entries", HEADINGS, rows.map(row)) : nothing(query));
    const more = showPages(pages, asked, answer.headers);
    byId("messages-summary").textContent = counted(rows.length, "message", query, more);
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
}

function showFilter(query, named) {
  const { company_id, from, to } = form.elements;
  byId("messages-of").hidden = !session.isOperator;
  company_id.value = session.isOperator ? named : "";
  from.value = localOf(query.from);
  to.value = localOf(query.to);
  const choices = {
    Any: {},
    Today: { from: dayBegan(0) },
    Yesterday: { from: dayBegan(1), to: dayBegan(0) },
    "Last 7 days": { from: dayBegan(6) },
  };
  byId("messages-quick").replaceChildren(
    ...Object.entries(choices).map(([words, times]) => {
      const chosen = (times.from ?? "") === (query.from ?? "") && (times.to ?? "") === (query.to ?? "");
      const to = address("messages", "", { company_id: query.company_id, ...times });
      return element("a", { class: "chip", href: to, "aria-current": chosen ? "true" : null }, words);
    }),
  );
}

/** Return what was posted from here and is not listed as what was posted. */
function notListed(whose, listed) {
  const known = new Set(listed.map(({ message_id }) => message_id));
  return postedFor(whose).filter(({ id, status }) => status === "refused" || !known.has(id));
}

/** Return the entries of what is on its way, or whose id belongs to another message. */
const onTheirWay = (messages) =>
  messages
    .filter(({ status }) => status !== "stored")
    .map(({ id, company: company_id, body, status, at: posted }) => {
      const message = read(body);
      return {
        id,
        company_id,
        status,
        amount: said(at(message, "data", "order_amount")),
        order: said(at(message, "data", "order_id")),
        at: posted,
      };
    });

/** Return the entries of a page; amounts with all digits that their value has. */
const stored = ({ text, value }) =>
  read(text).items.map((item, index) => {
    const { message_id: id, company_id, order_id: order, accepted_at } = value[index];
    return { id, company_id, status: "stored", amount: said(at(item, "order_amount")), order, at: accepted_at };
  });

const row = ({ id, company_id, status, amount, order, at: accepted }) =>
  element(
    "tr",
    {},
    element(
      "th",
      { scope: "row", class: "when" },
      element(
        "a",
        { href: address("messages", id, session.isOperator ? { company_id } : {}), "data-entry": true },
        moment(accepted),
      ),
    ),
    element("td", { class: "amount", "data-label": "Amount" }, amount),
    element("td", { "data-label": "Order" }, element("code", {}, order)),
    element("td", { "data-label": "Message" }, element("code", {}, id)),
    element("td", {}, messageMark(status)),
  );

const noCompany = () =>
  empty(
    "You belong to no company.",
    "Messages are a company’s. Ask whoever runs this service to give your account one.",
    linkButton(address("dragons"), "Look at the dragons"),
  );

const whichCompany = () =>
  empty(
    "Which company’s messages?",
    "Operators may read every company’s.",
    element("button", { type: "button", onclick: () => form.elements.company_id.focus() }, "Enter a company’s id"),
  );

const nothing = (query) =>
  query.from || query.to
    ? empty(
        "No message was accepted in that time.",
        "Times are in your zone.",
        linkButton(address("messages", "", { company_id: query.company_id }), "Show messages of any time"),
      )
    : empty(
        "No messages yet.",
        "A message is listed a moment after it was stored.",
        linkButton(address("messages", "new"), "Post a message", ""),
      );
