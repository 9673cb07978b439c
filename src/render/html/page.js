
"use strict";
// Draws the pictures of the page from its document. Every name in it is foreign: it enters the page as the content of a text node
// or the value of an attribute, and as nothing else.
(() => {
  const report = JSON.parse(document.getElementById("document").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  // The characters that hide or reorder text, as the tables show them.
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\u{e0000}-\u{e0fff}]/gu;
  const visible = (text) => text.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

  function add(parent, name, attributes = {}, text = null) {
    const inSvg = name === "svg" || parent.namespaceURI === SVG;
    const element = inSvg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    parent.append(element);
    return element;
  }
  function size(bytes) {
    if (bytes < 1024) return `${bytes} B`;
    let hundredths = Math.floor((bytes * 100) / 1024);
    for (const unit of ["KiB", "MiB", "GiB", "TiB"]) {
      if (hundredths < 102400 || unit === "TiB") {
        return `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")} ${unit}`;
      }
      hundredths = Math.floor(hundredths / 1024);
    }
  }
  const count = (number, noun) => `${number} ${number === 1 ? noun : `${noun}s`}`;
  const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);
  const share = (part, all) => (part * 1000 < all ? "less than 0.1%" : `${(Math.floor((part * 1000) / all) / 10).toFixed(1)}%`);
  const dayFormat = (() => {
    const form = { year: "numeric", month: "2-digit", day: "2-digit" };
    try {
      return new Intl.DateTimeFormat("en-CA", { ...form, timeZone: report.timeZone ?? "UTC" });
    } catch {
      return new Intl.DateTimeFormat("en-CA", { ...form, timeZone: "UTC" });
    }
  })();
  const day = (time) => dayFormat.format(new Date(time));
  /** A text that fits; a path loses its front. */
  const fit = (text, pixels) => {
    const most = Math.floor(pixels / 6.9);
    if (text.length <= most) return text;
    if (most < 4) return "";
    return text.startsWith("/") ? `…${text.slice(1 - most)}` : `${text.slice(0, most - 1)}…`;
  };

  // ---- The map of the store

  // What is smaller than the whole area divided by this is joined with others.
  const PARTS = 400;
  const PARTS_INSIDE = 80;

  function partName(part) {
    switch (part.keeper) {
      case "profile": return visible(part.shortName ?? "profile");
      case "roots": return count(part.roots, "other root");
      case "hold": return part.until ? `held until ${day(part.until)}` : "held by nix-prune elsewhere";
      case "process": return "running programs only";
      default: return part.keeper;
    }
  }
  function packages(part) {
    const nodes = part.packages.map((it) => ({
      name: visible(it.name), kind: part.keeper, bytes: it.narBytes, paths: it.paths, versions: it.versions, package: it.name,
    }));
    if (part.otherPackages > 0) {
      const name = count(part.otherPackages, "other package");
      nodes.push({ name, kind: part.keeper, bytes: part.others.narBytes, paths: part.others.paths, isRest: true });
    }
    return nodes;
  }
  const group = (name, kind, children) => ({
    name, kind, children, bytes: sum(children.map((it) => it.bytes)), paths: sum(children.map((it) => it.paths)),
  });
  function storeTree() {
    const groups = new Map();
    for (const part of report.parts) {
      if (part.narBytes === 0) continue;
      const node = { name: partName(part), kind: part.keeper, bytes: part.narBytes, paths: part.paths, children: packages(part) };
      const owner = part.owner && visible(part.owner.name ?? String(part.owner.uid));
      const name = owner ? `profiles of ${owner}` : part.keeper === "hold" ? "held by nix-prune" : node.name;
      groups.set(name, [...(groups.get(name) ?? []), node]);
    }
    const children = [...groups].map(([name, nodes]) => (nodes.length === 1 ? nodes[0] : group(name, nodes[0].kind, nodes)));
    return group("Store", "shared", children);
  }
  /** The children to draw, the largest first; those that would be too small to see are one. */
  function shown(nodes, parts) {
    const sorted = [...nodes].sort((a, b) => b.bytes - a.bytes);
    const small = sorted.filter((it) => it.bytes * parts < sum(nodes.map((node) => node.bytes)));
    if (small.length < 2 || small.length === sorted.length) return sorted;
    const joined = group(`${small.length} smaller ones`, small[0].kind, small);
    return [...sorted.slice(0, -small.length), joined].sort((a, b) => b.bytes - a.bytes);
  }
  /** The areas of the children of a node: what is only counted lies beside what has a name. */
  function layout(node, parts, x, y, width, height) {
    const nodes = (node.children ?? []).filter((it) => it.bytes > 0);
    const named = nodes.filter((it) => !it.isRest);
    const rest = nodes.find((it) => it.isRest);
    if (!rest || named.length === 0) return squarify(shown(nodes, parts), x, y, width, height);
    const share = 1 - rest.bytes / node.bytes;
    const [w, h] = width >= height ? [width * share, height] : [width, height * share];
    const area = width >= height ? { x: x + w, y, width: width - w, height } : { x, y: y + h, width, height: height - h };
    return [...squarify(shown(named, parts), x, y, w, h), { node: rest, ...area }];
  }
  /** Rectangles that are as square as possible (Bruls, Huizing, van Wijk: Squarified treemaps). */
  function squarify(nodes, x, y, width, height) {
    const tiles = [];
    let rest = sum(nodes.map((it) => it.bytes));
    let at = 0;
    while (at < nodes.length && width > 0 && height > 0) {
      const side = Math.min(width, height);
      const scale = (width * height) / rest;
      const worst = (row, area) => Math.max((side * side * row[0].bytes * scale) / (area * area), (area * area) / (side * side * row[row.length - 1].bytes * scale));
      let row = [nodes[at]];
      let area = nodes[at].bytes * scale;
      while (at + row.length < nodes.length) {
        const next = nodes[at + row.length];
        const larger = area + next.bytes * scale;
        if (worst([...row, next], larger) > worst(row, area)) break;
        row.push(next);
        area = larger;
      }
      const depth = area / side;
      let offset = 0;
      for (const node of row) {
        const length = (node.bytes * scale) / depth;
        tiles.push(width >= height ? { node, x, y: y + offset, width: depth, height: length } : { node, x: x + offset, y, width: length, height: depth });
        offset += length;
      }
      if (width >= height) { x += depth; width -= depth; } else { y += depth; height -= depth; }
      rest -= sum(row.map((it) => it.bytes));
      at += row.length;
    }
    return tiles;
  }
  function drawMap(figure) {
    const root = storeTree();
    let trail = [root];
    let ring = null;
    const nav = add(figure, "nav", { class: "trail", "aria-label": "Position in the map" });
    const box = add(figure, "div");
    const legend = add(figure, "ul", { class: "legend" });
    const kinds = { profile: "profiles", roots: "other roots", hold: "holds", process: "running programs", shared: "shared", dead: "dead (hatched)" };
    for (const [kind, name] of Object.entries(kinds)) {
      if (!report.parts.some((part) => part.keeper === kind && part.narBytes > 0)) continue;
      const item = add(legend, "li");
      const swatch = add(item, "svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
      add(swatch, "rect", { class: kind, width: 10, height: 10 });
      item.append(name);
    }
    const caption = add(figure, "p", { class: "caption", role: "status" });
    const HELP = "Choose an area to look inside. Arrow keys move, Enter opens, Escape goes back.";

    function describe(node) {
      caption.textContent = `${node.name}: ${size(node.bytes)} in ${count(node.paths, "path")}, ${share(node.bytes, root.bytes)} of the store`;
      if (node.versions > 1) caption.append(`, ${count(node.versions, "version")}`);
      caption.append(node.children ? ". Enter or a click opens it." : ".");
      if (node.package !== undefined) {
        caption.append(" ");
        add(caption, "code", {}, `nix-prune why ${node.name}`);
        caption.append(" shows what keeps it.");
      }
    }
    function go(to, focus) {
      trail = to;
      draw();
      caption.textContent = HELP;
      if (focus) box.querySelector(".tile")?.focus();
    }
    const open = (node) => (node.children ? go([...trail, node], true) : describe(node));
    const back = () => trail.length > 1 && go(trail.slice(0, -1), true);

    function drawTrail() {
      nav.replaceChildren();
      const list = add(nav, "ol");
      trail.forEach((node, depth) => {
        const current = depth === trail.length - 1;
        const button = add(add(list, "li"), "button", { type: "button", ...(current && { "aria-current": "true" }) }, `${node.name} (${size(node.bytes)})`);
        button.addEventListener("click", () => !current && go(trail.slice(0, depth + 1), true));
      });
    }
    function inside(tile, node) {
      const header = 24;
      const pad = 3;
      if (!node.children || tile.width < 30 || tile.height < header + 20) return [];
      return layout(node, PARTS_INSIDE, tile.x + pad, tile.y + header, tile.width - 2 * pad, tile.height - header - pad);
    }
    function draw() {
      drawTrail();
      box.replaceChildren();
      const node = trail[trail.length - 1];
      const width = Math.max(box.clientWidth, 280);
      const height = Math.round(Math.min(560, Math.max(320, width * 0.5)));
      const svg = add(box, "svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Map of ${node.name}, ${size(node.bytes)}` });
      const hatch = add(add(svg, "defs"), "pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
      add(hatch, "line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 8 });
      const tiles = layout(node, PARTS, 0, 0, width, height);
      for (const [n, tile] of tiles.entries()) drawTile(svg, tile, n, tiles);
      // Beside the areas: an area that moved to the front when it is pressed would not be clicked.
      ring = add(svg, "rect", { class: "ring", fill: "none", "pointer-events": "none", visibility: "hidden" });
    }
    const area = ({ x, y, width, height }) => ({ x: x.toFixed(1), y: y.toFixed(1), width: Math.max(width, 0).toFixed(1), height: Math.max(height, 0).toFixed(1) });
    function drawTile(svg, tile, n, tiles) {
      const { node } = tile;
      const label = `${node.name}, ${size(node.bytes)}, ${share(node.bytes, root.bytes)} of the store`;
      const element = add(svg, "g", { class: "tile", role: "button", tabindex: n === 0 ? 0 : -1, "aria-label": label, "data-bytes": node.bytes });
      tile.element = element;
      add(element, "rect", { class: `frame ${node.kind}`, ...area(tile) });
      for (const inner of inside(tile, node)) {
        add(element, "rect", { class: `inner ${inner.node.kind}`, ...area(inner) });
        if (inner.width > 44 && inner.height > 18) {
          add(element, "text", { class: "minor", x: inner.x + 5, y: inner.y + 14 }, fit(inner.node.name, inner.width - 8));
        }
        add(element, "title", {}, label);
      }
      if (node.kind === "dead") add(element, "rect", { fill: "url(#hatch)", "pointer-events": "none", ...area(tile) });
      if (tile.width > 40 && tile.height > 20) {
        const bytes = size(node.bytes);
        const name = fit(node.name, tile.width - 14);
        add(element, "text", { class: "name", x: tile.x + 7, y: tile.y + 16 }, name);
        if (tile.width > (name.length + bytes.length) * 7.6 + 20) {
          add(element, "text", { class: "minor", x: tile.x + tile.width - 7, y: tile.y + 16, "text-anchor": "end" }, bytes);
        } else if (!node.children && tile.height > 38) {
          add(element, "text", { class: "minor", x: tile.x + 7, y: tile.y + 32 }, fit(bytes, tile.width - 10));
        }
      }
      element.addEventListener("click", () => open(node));
      element.addEventListener("focus", () => {
        tiles.forEach((it) => it.element.setAttribute("tabindex", it === tile ? 0 : -1));
        for (const [key, value] of Object.entries({ ...area(tile), visibility: "visible" })) ring.setAttribute(key, value);
        describe(node);
      });
      element.addEventListener("blur", () => ring.setAttribute("visibility", "hidden"));
      element.addEventListener("pointerenter", () => describe(node));
      element.addEventListener("keydown", (event) => {
        const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
        if (event.key in moves) nearest(tile, tiles, moves[event.key])?.element.focus();
        else if (event.key === "Enter" || event.key === " ") open(node);
        else if (event.key === "Escape" || event.key === "Backspace") back();
        else return;
        event.preventDefault();
      });
    }
    function nearest(from, tiles, [dx, dy]) {
      const centre = (tile) => [tile.x + tile.width / 2, tile.y + tile.height / 2];
      const [x, y] = centre(from);
      let best = null;
      for (const tile of tiles) {
        const [tx, ty] = centre(tile);
        const along = (tx - x) * dx + (ty - y) * dy;
        if (tile === from || along <= 0) continue;
        const cost = along + 2 * Math.abs((tx - x) * dy + (ty - y) * dx);
        if (!best || cost < best.cost) best = { tile, cost };
      }
      return best?.tile;
    }
    caption.textContent = HELP;
    return draw;
  }

  // ---- Charts over time

  const MARGIN = { left: 6, right: 6, top: 18, bottom: 20 };
  /** An empty chart with its days below, and the places of its times. */
  function chart(figure, label, height, times) {
    const width = Math.max(figure.clientWidth, 240);
    const svg = add(figure, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    const first = Math.min(...times);
    const span = Math.max(Math.max(...times) - first, 1);
    const x = (time) => MARGIN.left + 4 + ((time - first) / span) * (width - MARGIN.left - MARGIN.right - 8);
    add(svg, "line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: height - MARGIN.bottom, y2: height - MARGIN.bottom });
    add(svg, "text", { class: "minor", x: MARGIN.left, y: height - 5 }, day(first));
    add(svg, "text", { class: "minor", x: width - MARGIN.right, y: height - 5, "text-anchor": "end" }, day(Math.max(...times)));
    return { svg, x, width };
  }
  const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  function removedBy(profile) {
    const plans = report.plans.map((job) => job.plan).filter((plan) => plan);
    const planned = plans.flatMap((plan) => plan.profiles).filter((it) => it.profile === profile.path);
    return new Set(planned.flatMap((it) => it.removes));
  }
  function drawGenerations(box) {
    add(box, "p", {}, "Above: what is freed by removing from the oldest up to each generation. Below: the exclusive size of each, hollow where a plan removes it.");
    const charts = add(box, "div", { class: "charts" });
    const most = (profile) => Math.max(0, ...profile.generations.map((it) => it.freesWithOlderBytes ?? 0));
    const profiles = report.profiles.filter((it) => it.generations.length > 1).sort((a, b) => most(b) - most(a)).slice(0, 12);
    const figures = profiles.map((profile) => {
      const figure = add(charts, "figure");
      const removed = removedBy(profile);
      const generations = profile.generations;
      const name = visible(profile.shortName);
      const gone = generations.filter((it) => removed.has(it.number)).length;
      const text = `${count(generations.length, "generation")}, ${gone} of them removed by a plan`;
      add(figure, "h3", {}, name);
      const picture = add(figure, "div");
      add(figure, "figcaption", {}, `${text}.`);
      return () => drawProfile(picture, `${name}: ${text}, from ${day(generations[0].created)} to ${day(generations[generations.length - 1].created)}; the table has the figures`, generations, removed);
    });
    return () => figures.forEach((draw) => draw());
  }
  function drawProfile(box, label, generations, removed) {
    box.replaceChildren();
    const height = 210;
    const times = generations.map((it) => Date.parse(it.created));
    const { svg, x, width } = chart(box, label, height, times);
    const [middle, foot] = [110, height - MARGIN.bottom];
    const freed = generations.map((it) => it.freesWithOlderBytes ?? 0);
    const most = Math.max(...freed, 1);
    const up = (bytes) => middle - (bytes / most) * (middle - MARGIN.top);
    const points = [];
    generations.forEach((it, n) => {
      points.push([x(times[n]), up(n ? freed[n - 1] : 0)], [x(times[n]), up(freed[n])]);
    });
    add(svg, "path", { class: "under", d: `${path([...points, [x(times[times.length - 1]), middle], [x(times[0]), middle]])}Z` });
    add(svg, "path", { class: "curve", d: path(points) });
    add(svg, "line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: middle, y2: middle });
    add(svg, "text", { class: "minor", x: MARGIN.left, y: 12 }, `up to ${size(Math.max(...freed))} from the oldest`);
    const alone = generations.map((it) => it.exclusiveBytes ?? 0);
    const largest = Math.max(...alone, 1);
    const bar = Math.max(2, Math.min(8, (width / generations.length) * 0.6));
    add(svg, "text", { class: "minor", x: MARGIN.left, y: middle + 14 }, `up to ${size(Math.max(...alone))} exclusive`);
    generations.forEach((it, n) => {
      const tall = Math.max(2, (alone[n] / largest) * (foot - middle - 22));
      const isRemoved = removed.has(it.number);
      const mark = add(svg, "rect", { class: isRemoved ? "bar removed" : "bar", x: x(times[n]) - bar / 2, y: foot - tall, width: bar, height: tall, "data-bytes": alone[n] });
      add(mark, "title", {}, `generation ${it.number}, ${day(it.created)}: ${size(alone[n])} exclusive, ${size(freed[n])} with older, ${isRemoved ? "removed by a plan" : "kept"}`);
    });
  }
  function drawRuns(figure) {
    const runs = report.runs.rows.filter((run) => run.bytes.reported !== null).reverse();
    if (!runs.some((run) => run.bytes.reported > 0)) return null;
    const box = add(figure, "div");
    add(figure, "figcaption", {}, "Bytes that Nix reported as freed, by run.");
    return () => {
      box.replaceChildren();
      const height = 120;
      const times = runs.map((run) => Date.parse(run.startedAt));
      const most = Math.max(...runs.map((run) => run.bytes.reported));
      const { svg, x } = chart(box, `Bytes freed by ${count(runs.length, "run")}, at most ${size(most)}; the table has the figures`, height, times);
      add(svg, "text", { class: "minor", x: MARGIN.left, y: 12 }, `up to ${size(most)}`);
      runs.forEach((run, n) => {
        const tall = Math.max(1, (run.bytes.reported / most) * (height - MARGIN.top - MARGIN.bottom));
        const mark = add(svg, "rect", { class: "bar", x: x(times[n]) - 3, y: height - MARGIN.bottom - tall, width: 6, height: tall });
        add(mark, "title", {}, `${day(run.startedAt)}: ${size(run.bytes.reported)}`);
      });
    };
  }
  function drawDisk(figure) {
    const { disk, takenAt } = report.status;
    const points = report.diskHistory.map((it) => ({ at: it.at, free: it.available }));
    if (disk) points.push({ at: takenAt, free: disk.available });
    if (points.length < 2) return null;
    const box = add(figure, "div");
    add(figure, "figcaption", {}, "Free space before and after runs with a budget, and now.");
    return () => {
      box.replaceChildren();
      const height = 140;
      const most = Math.max(...points.map((it) => it.free), 1);
      const { svg, x } = chart(box, `Free space at ${points.length} times, at most ${size(most)}; the table has the figures`, height, points.map((it) => Date.parse(it.at)));
      const up = (bytes) => height - MARGIN.bottom - (bytes / most) * (height - MARGIN.top - MARGIN.bottom);
      const places = points.map((it) => [x(Date.parse(it.at)), up(it.free)]);
      add(svg, "text", { class: "minor", x: MARGIN.left, y: 12 }, `up to ${size(most)}`);
      add(svg, "path", { class: "curve", d: path(places) });
      places.forEach(([cx, cy], n) => {
        const dot = add(svg, "circle", { class: "dot", cx, cy, r: 3.5 });
        add(dot, "title", {}, `${day(points[n].at)}: ${size(points[n].free)} free`);
      });
    };
  }

  // ---- All pictures

  const pictures = { map: drawMap, generations: drawGenerations, runs: drawRuns, disk: drawDisk };
  const drawn = [];
  for (const place of document.querySelectorAll("[data-picture]")) {
    place.hidden = false;
    const draw = pictures[place.dataset.picture](place);
    if (draw) drawn.push(draw);
    else place.hidden = true;
  }
  const drawAll = () => drawn.forEach((draw) => draw());
  drawAll();
  let width = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    requestAnimationFrame(drawAll);
  }).observe(document.body);

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((it) => { it.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((it) => { it.open = false; }));
})();
