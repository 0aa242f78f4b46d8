// What a message says, member by member: alone, or beside the one that is stored, with what differs in red.

import { element, table } from "./dom.js";
import { compared, rowsOf } from "./exact.js";

/** Return a message's members as a table. Takes its node, as `read` returns it. */
export const members = (message) =>
  table(
    "members",
    ["Member", "What it says"],
    rowsOf(message).map((row) => element("tr", {}, element("th", { scope: "row" }, row.path), cell("", row.said))),
  );

/** Return the members of two messages as one table: of ours, under this heading, and of the one that is stored. */
export const beside = (ours, stored, heading) =>
  table(
    "members beside",
    ["Member", heading, "Is stored"],
    compared(ours, stored).map((row) =>
      element(
        "tr",
        { class: row.same ? null : "differs" },
        element("th", { scope: "row" }, row.path, row.same ? null : element("span", { class: "unseen" }, " differs")),
        cell(heading, row.posted),
        cell("Is stored", row.stored),
      ),
    ),
  );

const cell = (label, text) =>
  element("td", { "data-label": label }, text === null ? element("i", {}, "nothing") : text);
