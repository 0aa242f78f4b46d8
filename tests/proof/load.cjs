// Closed-loop load with autocannon (https://www.npmjs.com/package/autocannon). Reads its orders as JSON from stdin, and
// prints the results as JSON, including the ids of all accepted messages.
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const autocannon = require("autocannon");

const orders = JSON.parse(readFileSync(0, "utf8"));
const authorization = `Bearer ${orders.token}`;
const accepted = [];
const statuses = {};
let posted = 0;
let withoutRetryAfter = 0;

function count(status, headers) {
  statuses[status] = (statuses[status] || 0) + 1;
  const says = Object.keys(headers).some((name) => name.toLowerCase() === "retry-after");
  if ([429, 503, 504].includes(status) && !says) withoutRetryAfter += 1;
}

function reading(path) {
  const onResponse = (status, _body, _context, headers) => count(status, headers);
  return { method: "GET", path, headers: { authorization }, onResponse };
}

// A company gets the same messages in every run: its id is the seed.
function nextMessage() {
  posted += 1;
  const digest = createHash("sha256").update(`${orders.company_id} ${posted}`).digest();
  const time = new Date(Date.UTC(2023, 11, 10) + posted * 1000).toISOString();
  const ids = { company_id: orders.company_id, message_id: uuidOf(digest.subarray(0, 16)) };
  const order = { order_id: uuidOf(digest.subarray(16)), order_amount: digest.readUInt32BE() / 100 };
  return { metadata: { message_time: time, ...ids }, data: { order_time: time, ...order } };
}

function uuidOf(bytes) {
  const digits = bytes.toString("hex");
  return digits.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}

function posting() {
  return {
    method: "POST",
    path: "/post-message",
    headers: { authorization, "content-type": "application/json" },
    setupRequest: (request) => ({ ...request, body: JSON.stringify(nextMessage()) }),
    onResponse: (status, body, _context, headers) => {
      count(status, headers);
      if (status === 202 || status === 200) accepted.push(JSON.parse(body).message_id);
    },
  };
}

autocannon({
  url: orders.url,
  connections: orders.connections,
  duration: orders.seconds,
  timeout: 15, // s; shorter than the full scale, so that requests that get no answer are counted
  requests: [...Array.from({ length: orders.posts }, posting), ...orders.reads.map(reading)],
}).then(({ latency, requests, errors, timeouts }) => {
  const { p50, p90, p99, max } = latency;
  const rate = requests.average;
  const figures = { p50, p90, p99, max, rate, errors, timeouts, statuses, accepted };
  console.log(JSON.stringify({ ...figures, without_retry_after: withoutRetryAfter }));
});
