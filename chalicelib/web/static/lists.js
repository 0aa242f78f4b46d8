// What lists have in common: their pages, what they say when they are empty, and the arrow keys.

import { nextOf, resolve } from "./api.js";
import { byId, element } from "./dom.js";
import { address } from "./routes.js";
import { session } from "./session.js";

/** Return a link that looks like a button. */
export const linkButton = (to, text, kind = "quiet") => element("a", { href: to, class: `button ${kind}` }, text);

/** Return what stands in place of an empty list: what is missing, and what one can do next. */
export const empty = (heading, text, ...steps) =>
  element(
    "div",
    { class: "empty" },
    element("h3", {}, heading),
    text ? element("p", {}, ...[text].flat()) : null,
    element("p", { class: "buttons" }, steps),
  );

/** Return a button that shows this page anew. */
export const lookAgain = () =>
  element(
    "button",
    { type: "button", class: "quiet", onclick: () => dispatchEvent(new Event("hashchange")) },
    "Look again",
  );

/** Return the link to an id's timeline, which operators may see, or none. */
export const timelineOf = (id) =>
  session.isOperator ? [linkButton(address("timeline", "", { id }), "Its timeline")] : [];

/** Show other entries in a list. The entry that has the focus keeps it, if it is still there. */
export function replaceEntries(list, entries) {
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  list.replaceChildren(entries);
  if (focused) (list.querySelector(`a[href="${CSS.escape(focused)}"]`) ?? list.querySelector("a[data-entry]"))?.focus();
}

/** Show the links to a list's first page and to its next one, which are addresses of the console. */
export function showPages(place, { noun, query }, headers) {
  const next = nextOf(headers);
  const cursor = next && resolve(next).searchParams.get("cursor");
  const page = Number(query.page) || 1;
  place.replaceChildren(
    ...(query.cursor ? [linkButton(address(noun, "", { ...query, cursor: "", page: "" }), "First page")] : []),
    ...(cursor ? [linkButton(address(noun, "", { ...query, cursor, page: page + 1 }), "Next page")] : []),
  );
  return cursor !== null;
}

/** Take away what a view's list shows, for it is of another address. Its first page may still be there. */
export function clearList(view, asked) {
  const [list, summary, pages] = ["list", "summary", "pages"].map((part) => byId(`${view}-${part}`));
  list?.replaceChildren();
  list?.removeAttribute("aria-busy");
  summary?.replaceChildren();
  if (pages) showPages(pages, asked, new Headers());
}

/** Return how many there are on this page, and whether more follow: `24 dragons on page 1; more follow`. */
export function counted(count, one, { page = 1 }, more) {
  const number = count === 1 ? `1 ${one}` : `${count} ${one}s`;
  return more || page > 1 ? `${number} on page ${page}${more ? "; more follow" : ""}` : number;
}

/** Let the arrow keys lead from one of the links in a place to the next: up and down by rows, if there are columns. */
export function walkWithArrows(place, before = null) {
  const links = () => [...place.querySelectorAll("a[data-entry]")];
  before?.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && links().length) {
      event.preventDefault();
      links()[0].focus();
    }
  });
  place.addEventListener("keydown", (event) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(all), ArrowUp: -columns(all) }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    if (at + step < 0) before?.focus();
    else all[Math.min(at + step, all.length - 1)].focus();
  });
}

const columns = (links) => {
  const top = (link) => link.getBoundingClientRect().top;
  return links.filter((link) => top(link) === top(links[0])).length;
};

/** Return a button that copies the address of this page. */
export function copyLink() {
  const button = element("button", { type: "button", class: "quiet", onclick: copy }, "Copy link");
  async function copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copy it from the address bar"; // browsers allow it on secure origins only
    }
  }
  return button;
}
