// The workflow, drawn from its definition (workflow.json), and the path that a submission has taken through it.

import { drawing } from "./dom.js";

// Three lanes are as wide as a phone, so that the picture is as large there as it is drawn.
const LANE = 126;
const RANK = 56;
const NODE = { width: 108, height: 38, radius: 8 };
const LINE = 16; // as many letters as fit into a node
const BYPASS = 8; // how far beside the lane a line runs that bypasses a state
const BEND = 8;
const MARGIN = 4;

/** Draw a graph into an SVG element. Returns a function that lights up a submission's steps, given them and its status. */
export function draw(svg, graph) {
  const width = graph.lanes * LANE;
  const height = (graph.ranks - 1) * RANK + NODE.height + 2 * MARGIN;
  const states = new Map(graph.states.map((state) => [state.name, state]));
  const nodes = new Map(graph.states.map((state) => [state.name, node(state)]));
  const edges = new Map();
  for (const from of graph.states) {
    for (const { to, kind } of from.edges) {
      const path = drawing("path", { class: `edge ${kind}`, d: way(from, states.get(to)) });
      edges.set(`${from.name}→${to}`, path);
    }
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(drawing("g", {}, ...edges.values()), drawing("g", {}, ...nodes.values()));
  return (steps, status = "") => {
    light(steps, nodes, edges);
    const last = steps.at(-1)?.name;
    if (states.get(last)?.edges.length === 0) nodes.get(last).dataset.outcome = status;
  };
}

function light(steps, nodes, edges) {
  for (const part of [...nodes.values(), ...edges.values()]) {
    delete part.dataset.status;
    delete part.dataset.outcome;
  }
  steps.forEach(({ name, status }, index) => {
    const shown = nodes.get(name);
    if (shown) shown.dataset.status = status;
    const line = edges.get(`${steps[index - 1]?.name}→${name}`);
    if (!line) return;
    line.dataset.status = "taken";
    line.parentNode.append(line); // on top of the lines that were not taken
  });
}

function node(state) {
  const { x, y } = place(state);
  const end = state.edges.length === 0;
  const radius = state.type === "Choice" || end ? NODE.height / 2 : NODE.radius;
  const box = { x: x - NODE.width / 2, y: y - NODE.height / 2, width: NODE.width, height: NODE.height, rx: radius };
  const texts = [
    [state.words.split(" "), " ", "in-words"],
    [state.name.split(/(?=[A-Z])/), "", "own-name"],
  ];
  const written = texts.map(([words, space, kind]) =>
    drawing("text", { class: kind }, spans(lines(words, space), x, y)),
  );
  return drawing(
    "g",
    { class: `state ${state.type.toLowerCase()}${end ? " end" : ""}` },
    drawing("rect", box),
    written,
  );
}

const spans = (texts, x, y) =>
  texts.map((text, index) => drawing("tspan", { x, y: y + 4 + (index - (texts.length - 1) / 2) * 13.5 }, text));

/** Return words in lines that fit into a node. */
function lines(words, space) {
  const filled = [words[0]];
  for (const word of words.slice(1)) {
    const longer = filled.at(-1) + space + word;
    if (longer.length <= LINE) filled[filled.length - 1] = longer;
    else filled.push(word);
  }
  return filled;
}

const place = ({ lane, rank }) => ({ x: lane * LANE + LANE / 2, y: rank * RANK + NODE.height / 2 + MARGIN });

function way(from, to) {
  const a = place(from);
  const b = place(to);
  const top = b.y - NODE.height / 2;
  if (from.lane !== to.lane) {
    const side = Math.sign(b.x - a.x);
    const turn = `${b.x - side * BEND} ${a.y} Q ${b.x} ${a.y} ${b.x} ${a.y + BEND}`;
    return `M ${a.x + (side * NODE.width) / 2} ${a.y} L ${turn} L ${b.x} ${top}`;
  }
  if (to.rank - from.rank === 1) return `M ${a.x} ${a.y + NODE.height / 2} L ${b.x} ${top}`;
  const edge = a.x - NODE.width / 2;
  const beside = edge - BYPASS;
  return (
    `M ${edge} ${a.y} L ${beside + BEND} ${a.y} Q ${beside} ${a.y} ${beside} ${a.y + BEND} ` +
    `L ${beside} ${b.y - BEND} Q ${beside} ${b.y} ${beside + BEND} ${b.y} L ${edge} ${b.y}`
  );
}
