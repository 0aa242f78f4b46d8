// The address says what is shown: `#/dragons?family=red`, `#/reports/new`, `#/messages/<id>`. So Back works, and a link
// can be shared. It is a fragment, which survives signing in and never reaches the server.

// By the first word of the address: the view of the list, of one of its entries, and of the form for a new one.
const NOUNS = {
  dragons: { list: "dragons", one: "dragon" },
  reports: { list: "reports", one: "submission", new: "report" },
  messages: { list: "messages", one: "message", new: "post" },
  letters: { list: "letters", one: "letter" },
  timeline: { list: "timeline" },
  find: { list: "find" },
};

/** Return what the address names: the noun, the view, the id of one entry, and the query. Unknown ones are the dragons. */
export function route() {
  const [path, query] = halves(location.hash.replace(/^#\/?/, ""), "?");
  const [noun, id] = halves(path, "/");
  const views = Object.hasOwn(NOUNS, noun) ? NOUNS[noun] : NOUNS.dragons;
  const view = id === "" ? views.list : (id === "new" && views.new) || views.one || views.list;
  return {
    noun: views === NOUNS[noun] ? noun : "dragons",
    view,
    id: decoded(id),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** Return the address of a list, or of one entry or form. Queries without a value are left out. */
export function address(noun, id = "", query = {}) {
  const asked = String(new URLSearchParams(Object.entries(query).filter(([, value]) => value)));
  return `#/${noun}${id && `/${encodeURIComponent(id)}`}${asked && `?${asked}`}`;
}

/** Go to an address, so that Back leads here. */
export function go(to) {
  if (location.hash === to) dispatchEvent(new Event("hashchange"));
  else location.hash = to;
}

/** Take an address in place of this one: what one types is no step to go back to. */
export function instead(to) {
  history.replaceState(null, "", to);
  dispatchEvent(new Event("hashchange"));
}

function halves(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed a lone `%`
  }
}
