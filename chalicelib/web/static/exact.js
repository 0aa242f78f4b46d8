// JSON as it was written: no number loses a digit, which JavaScript's own would. For showing and comparing messages.

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:])/y;
const UUIDS = new Set(["metadata.company_id", "metadata.message_id", "data.order_id"]); // the same in any case
const OF_THE_SERVICE = new Set(["digest", "metadata.message_s3_key"]); // not sent, but added

/** Return a JSON text as nodes: `members` (pairs of a name and a node), `items`, or `text` as it was written. */
export function read(json) {
  TOKEN.lastIndex = 0;
  const token = () => TOKEN.exec(json)[1];
  return value(token(), token);
}

function value(first, token) {
  if (first !== "{" && first !== "[") return { text: first };
  const found = [];
  const close = first === "{" ? "}" : "]";
  for (let next = token(); next !== close; next = token()) {
    if (next === ",") continue;
    if (first === "[") found.push(value(next, token));
    else {
      token(); // the colon
      found.push([JSON.parse(next), value(token(), token)]);
    }
  }
  return first === "{" ? { members: found } : { items: found };
}

/** Return a node as JSON, indented. */
export function written(node, indent = "") {
  const inner = `${indent}  `;
  const list = (open, parts, close) =>
    parts.length ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}` : open + close;
  if (node.members)
    return list(
      "{",
      node.members.map(([name, member]) => `${JSON.stringify(name)}: ${written(member, inner)}`),
      "}",
    );
  if (node.items)
    return list(
      "[",
      node.items.map((item) => written(item, inner)),
      "]",
    );
  return node.text;
}

/** Return the member of an object at a path of names, or null. */
export function at(node, ...names) {
  return names.reduce((found, name) => found?.members?.find(([known]) => known === name)?.[1] ?? null, node);
}

/** Return what a node says, as people read it: a string without its quotes. */
export const said = (node) => (node?.text?.startsWith('"') ? JSON.parse(node.text) : (node?.text ?? ""));

/** Return the members of a message, each with its path and what it says, in the message's order. */
export function rowsOf(message) {
  return [...leaves(message, "")]
    .filter(([path]) => !OF_THE_SERVICE.has(path))
    .map(([path, node]) => ({ path, said: said(node), means: meaning(path, node) }));
}

/** Return the members of two messages beside each other: what each says, and whether it means the same. */
export function compared(posted, stored) {
  const [ours, theirs] = [posted, stored].map((message) => new Map(rowsOf(message).map((row) => [row.path, row])));
  const paths = new Set([...theirs.keys(), ...ours.keys()]);
  return [...paths].map((path) => {
    const [mine, other] = [ours.get(path), theirs.get(path)];
    return { path, posted: mine?.said ?? null, stored: other?.said ?? null, same: mine?.means === other?.means };
  });
}

function* leaves(node, path) {
  if (node.members?.length)
    for (const [name, member] of node.members) yield* leaves(member, path ? `${path}.${name}` : name);
  else if (node.items?.length)
    for (const [index, item] of node.items.entries()) yield* leaves(item, `${path}[${index}]`);
  else yield [path, node.text ? node : { text: written(node) }];
}

/** Return what a value means, as a message's digest takes it: numbers by value, ids in any case, all else as written. */
function meaning(path, { text }) {
  if (UUIDS.has(path)) return text.toLowerCase();
  if (text.startsWith('"')) return JSON.stringify(JSON.parse(text));
  const number = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!number) return text;
  const [, sign, whole, fraction = "", exponent = "0"] = number;
  const digits = (whole + fraction).replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  return significant
    ? `${sign}${significant}E${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length)}`
    : "0";
}
