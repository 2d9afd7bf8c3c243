
"use strict";
(() => {
  const { nodes, edges } = JSON.parse(document.getElementById("data").textContent);
  const svg = document.getElementById("drawing");
  const boxes = [...document.querySelectorAll("#nodes > .node")];
  const lines = [...document.querySelectorAll("#edges > path")];
  const search = document.getElementById("search");
  const results = document.getElementById("results");
  const count = document.getElementById("count");
  const details = document.getElementById("details");
  const MOST_RESULTS = 60;
  const first = details.firstElementChild.cloneNode(true);
  const near = nodes.map(() => []);
  edges.forEach(([source, target], i) => { near[source].push(i); if (target !== source) near[target].push(i); });
  const words = nodes.map((n) => [n.name, n.id, n.text, ...Object.values(n.about)].join("\n").toLowerCase());
  const shownNode = nodes.map(() => true);
  const shownEdge = edges.map(() => true);
  let chosen = -1;
  let hits = new Set();

  // Texts of the graph are untrusted: they only ever become text, never markup.
  const make = (tag, text, style) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (style) made.className = style;
    return made;
  };
  const leadTo = (i, note) => {
    const item = make("li");
    const button = make("button", nodes[i].name);
    button.type = "button";
    button.append(make("span", note, "soft"));
    button.addEventListener("click", () => choose(i, true));
    item.append(button);
    return item;
  };

  const paint = () => {
    const around = new Set();
    if (chosen >= 0) for (const i of near[chosen]) if (shownEdge[i]) { around.add(edges[i][0]); around.add(edges[i][1]); }
    svg.classList.toggle("busy", chosen >= 0 || hits.size > 0);
    boxes.forEach((box, i) => {
      box.classList.toggle("gone", !shownNode[i]);
      box.classList.toggle("hit", hits.has(i));
      box.classList.toggle("near", around.has(i));
      box.classList.toggle("chosen", i === chosen);
    });
    lines.forEach((line, i) => {
      line.classList.toggle("gone", !shownEdge[i]);
      line.classList.toggle("near", chosen >= 0 && (edges[i][0] === chosen || edges[i][1] === chosen));
    });
  };

  const connections = (i) => {
    const parts = new Map();
    for (const e of near[i]) {
      const [source, target, relation, evidence, provenance, size] = edges[e];
      if (!shownEdge[e]) continue;
      const [title, other] = source === i ? [`${relation} →`, target] : [`← ${relation}`, source];
      if (!parts.has(title)) parts.set(title, make("ul"));
      parts.get(title).append(leadTo(other, [evidence, size, provenance].filter(Boolean).join(" · ")));
    }
    return [...parts].flatMap(([title, list]) => [make("h3", `${title} (${list.children.length})`), list]);
  };

  const describe = (i) => {
    if (i < 0) { details.replaceChildren(first); return; }
    const node = nodes[i];
    const facts = make("dl");
    for (const [key, value] of [["id", node.id], ["kind", node.kind], ...Object.entries(node.about)]) {
      facts.append(make("dt", key), make("dd", value));
    }
    details.replaceChildren(make("h2", node.name), facts, make("p", node.text, "text"), ...connections(i));
    details.scrollTop = 0;
  };

  const focus = (i, move) => {
    boxes.forEach((box) => { box.tabIndex = -1; });
    boxes[i].tabIndex = 0;
    if (move) { boxes[i].focus({ preventScroll: true }); boxes[i].scrollIntoView({ block: "center", inline: "center" }); }
  };
  const choose = (i, move) => {
    chosen = i;
    if (i >= 0) focus(i, move);
    describe(i);
    paint();
  };

  const look = () => {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const found = wanted.length ? words.map((_, i) => i).filter((i) => shownNode[i] && wanted.every((w) => words[i].includes(w))) : [];
    hits = new Set(found);
    results.replaceChildren(...found.slice(0, MOST_RESULTS).map((i) => leadTo(i, nodes[i].kind)));
    const more = found.length > MOST_RESULTS ? `, the first ${MOST_RESULTS} listed` : "";
    count.textContent = wanted.length ? `${found.length} found${more}` : "";
    paint();
  };

  const filter = () => {
    const on = (group) => new Set([...document.querySelectorAll(`input[data-${group}]:checked`)].map((box) => box.dataset[group]));
    const [kinds, relations, levels] = ["kind", "relation", "evidence"].map(on);
    nodes.forEach((node, i) => { shownNode[i] = kinds.has(node.kind); });
    edges.forEach(([source, target, relation, level], i) => {
      shownEdge[i] = shownNode[source] && shownNode[target] && relations.has(relation) && levels.has(level);
    });
    if (chosen >= 0 && !shownNode[chosen]) chosen = -1;
    describe(chosen);
    const keep = chosen >= 0 ? chosen : shownNode.indexOf(true);
    if (keep >= 0) focus(keep, false);
    look();
  };

  const middle = (i) => boxes[i].transform.baseVal[0].matrix;
  const neighbour = (i, key) => {
    const here = middle(i);
    const all = nodes.map((_, j) => j).filter((j) => j !== i && shownNode[j]);
    const up = key === "ArrowUp" || key === "ArrowDown";
    const ahead = all.filter((j) => up
      ? nodes[j].c === nodes[i].c && (key === "ArrowUp") === (middle(j).f < here.f)
      : nodes[j].c !== nodes[i].c && (key === "ArrowLeft") === (middle(j).e < here.e));
    const far = (j) => up ? Math.abs(middle(j).f - here.f) : 1e5 * Math.abs(nodes[j].c - nodes[i].c) + Math.abs(middle(j).f - here.f);
    return ahead.reduce((best, j) => (best < 0 || far(j) < far(best) ? j : best), -1);
  };

  boxes.forEach((box, i) => {
    box.addEventListener("click", () => choose(i, false));
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(i, false); }
      if (!event.key.startsWith("Arrow")) return;
      event.preventDefault();
      const next = neighbour(i, event.key);
      if (next >= 0) focus(next, true);
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { search.value = ""; chosen = -1; describe(-1); look(); }
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
  });
  for (const box of document.querySelectorAll("#controls input[type=checkbox]")) box.addEventListener("change", filter);
  search.addEventListener("input", look);

  const threat = nodes.findIndex((node) => node.kind === "threat");
  const canvas = document.getElementById("canvas");
  if (threat >= 0) canvas.scrollLeft = middle(threat).e - canvas.clientWidth / 2;

  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  let scale = 1;
  const zoom = (factor) => {
    scale = factor ? Math.min(4, Math.max(0.1, scale * factor)) : Math.min(1, (canvas.clientWidth - 4) / width);
    svg.setAttribute("width", width * scale);
    svg.setAttribute("height", height * scale);
  };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
})();
