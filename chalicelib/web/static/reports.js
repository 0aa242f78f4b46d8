// What the user has reported, the latest first, and what became of it.

import { call } from "./api.js";
import { byId, element, pause, table } from "./dom.js";
import { counted, empty, linkButton, replaceEntries, showPages, walkWithArrows } from "./lists.js";
import { address } from "./routes.js";
import { statusMark } from "./stages.js";
import { moment } from "./times.js";

const PAGE_SIZE = 25;
const AGAIN_S = 2; // while some are under way
const HEADINGS = ["Dragon", "What became of it", "Reported"];

const list = byId("reports-list");

walkWithArrows(list);

/** Show a page of them, and keep it up to date while some are under way. */
export async function showReports(asked, signal) {
  const { query } = asked;
  list.setAttribute("aria-busy", "true");
  const wanted = new URLSearchParams({ limit: PAGE_SIZE, ...(query.cursor ? { cursor: query.cursor } : {}) });
  while (!signal.aborted) {
    const answer = await call("GET", `submissions?${wanted}`);
    if (signal.aborted) return;
    list.removeAttribute("aria-busy");
    replaceEntries(list, answer.value.length ? table("entries", HEADINGS, answer.value.map(row)) : nothing());
    const more = showPages(byId("reports-pages"), asked, answer.headers);
    byId("reports-summary").textContent = counted(answer.value.length, "report", query, more);
    if (!answer.value.some(({ status }) => status === "pending")) return;
    await pause(AGAIN_S);
  }
}

const nothing = () =>
  empty(
    "You have reported nothing yet.",
    "Seen a dragon? Tell us, and watch it get into the registry.",
    linkButton(address("reports", "new"), "Report a dragon", ""),
  );

const row = ({ submission_id: id, dragon_name_str: name, status, reason, started_at: startedAt }) =>
  element(
    "tr",
    {},
    element("th", { scope: "row" }, element("a", { href: address("reports", id), "data-entry": true }, name)),
    element("td", {}, statusMark(status), reason ? element("span", { class: "reason" }, reason) : null),
    element("td", { class: "when" }, moment(startedAt)),
  );
