"use strict";

const byId = (id) => document.getElementById(id);
const quarter = byId("quarter");
const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 });
const svgNamespace = "http://www.w3.org/2000/svg";

// query is the filter as the server takes it.
function query() {
  return quarter.value ? "?" + new URLSearchParams({ quarter: quarter.value }) : "";
}

async function show() {
  const answer = await fetch("/api/pipeline" + query());
  if (answer.status === 401) return location.assign("/login");
  const { deals, totals } = await answer.json();
  const sum = (value) => deals.reduce((all, deal) => all + value(deal), 0);
  byId("total").textContent = money.format(sum((deal) => deal.amount));
  byId("weighted").textContent = money.format(sum((deal) => (deal.amount * deal.probability) / 100));
  byId("count").textContent = deals.length;
  byId("shown").textContent = `Showing ${quarter.value || "all quarters"}: ${deals.length} deals`;
  byId("deals").replaceChildren(...deals.map(row));
  chart(totals);
}

function row(deal) {
  const tr = document.createElement("tr");
  const stage = document.createElement("span");
  stage.className = "stage p" + deal.probability;
  stage.textContent = deal.stage;
  for (const content of [deal.id, deal.account, deal.owner, stage, deal.closeDate, money.format(deal.amount)]) {
    tr.insertCell().append(content);
  }
  tr.lastElementChild.className = "number";
  return tr;
}

// chart draws one bar a quarter, the chosen one highlighted.
function chart(totals) {
  const highest = Math.max(...Object.values(totals));
  const shapes = Object.keys(totals).sort().flatMap((name, i) => {
    const height = (totals[name] / highest) * 50;
    const chosen = !quarter.value || quarter.value === name;
    return [
      shape("rect", { x: i * 62, y: 52 - height, width: 48, height, rx: 4, class: chosen ? "chosen" : "other" }),
      shape("text", { x: i * 62 + 24, y: 68, "text-anchor": "middle" }, name),
    ];
  });
  byId("chart").replaceChildren(...shapes);
}

function shape(kind, attributes, text = "") {
  const element = document.createElementNS(svgNamespace, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

quarter.addEventListener("change", show);
byId("export").addEventListener("click", () => location.assign("/export/pipeline.csv" + query()));
byId("logout").addEventListener("click", async () => {
  await fetch("/api/logout", { method: "POST" });
  location.assign("/login");
});
show();
