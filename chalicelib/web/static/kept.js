// What the user types and watches, kept for the next page in this tab, so that a reload loses nothing of it. As the
// session, it is in sessionStorage and nowhere else. It goes when the user signs out, and nobody else gets it.

import { NAME, session } from "./session.js";

const PLACE = `${NAME} kept`;

/** Keep a value under a name until the user signs out. A browser may have been told to store nothing at all. */
export function keep(name, value) {
  const { sub } = session.claims ?? {};
  if (!sub) return;
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ sub, values: { ...valuesOf(sub), [name]: value } }));
  } catch {
    forget(); // what is there is older than what was to be kept
  }
}

/** Return what this user has kept under a name, or null. */
export const kept = (name) => valuesOf(session.claims?.sub)[name] ?? null;

const DRAFTS_MAX = 5;

/** Keep one of several drafts under a name, by its own key; null takes it away. The latest five stay. */
export function keepDraft(name, key, draft) {
  const others = Object.entries(kept(name) ?? {}).filter(([other]) => other !== key);
  const all = draft === null ? others : [...others, [key, draft]];
  keep(name, Object.fromEntries(all.slice(-DRAFTS_MAX)));
}

/** Return a draft that this user has kept, or null. */
export const draftOf = (name, key) => kept(name)?.[key] ?? null;

function valuesOf(user) {
  try {
    const { sub, values } = JSON.parse(sessionStorage.getItem(PLACE));
    return sub === user ? values : {};
  } catch {
    return {};
  }
}

function forget() {
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // then there is nothing
  }
}

session.addEventListener("end", forget);
session.addEventListener("start", () => {
  if (!Object.keys(valuesOf(session.claims.sub)).length) forget(); // it is another user's
});
