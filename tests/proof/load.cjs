// Closed-loop load with autocannon (https://www.npmjs.com/package/autocannon): reads its orders as JSON on stdin,
// prints what came of it as JSON, the ids of all messages that were accepted included.
const { randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const autocannon = require("autocannon");

const orders = JSON.parse(readFileSync(0, "utf8"));
const authorization = `Bearer ${orders.token}`;
const accepted = [];
const statuses = {};

function count(status) {
  statuses[status] = (statuses[status] || 0) + 1;
}

function reading(path) {
  return { method: "GET", path, headers: { authorization }, onResponse: count };
}

function posting() {
  return {
    method: "POST",
    path: "/post-message",
    headers: { authorization, "content-type": "application/json" },
    setupRequest: (request) => {
      const time = new Date().toISOString();
      const metadata = { message_time: time, company_id: orders.company_id, message_id: randomUUID() };
      const data = { order_id: randomUUID(), order_time: time, order_amount: Math.random() };
      return { ...request, body: JSON.stringify({ metadata, data }) };
    },
    onResponse: (status, body) => {
      count(status);
      if (status === 202) accepted.push(JSON.parse(body).message_id);
    },
  };
}

autocannon({
  url: orders.url,
  connections: orders.connections,
  duration: orders.seconds,
  timeout: 30,
  requests: [...orders.reads.map(reading), ...Array.from({ length: orders.posts }, posting)],
}).then(({ latency, requests, errors, timeouts }) => {
  const { p50, p90, p99, max } = latency;
  const rate = requests.average;
  console.log(JSON.stringify({ p50, p90, p99, max, rate, errors, timeouts, statuses, accepted }));
});
