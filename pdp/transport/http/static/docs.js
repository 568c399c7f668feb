// The API reference: reads /openapi.json and shows the operation that the URL hash names.
import { el, json, prose, verb, withoutName } from "./dom.js";
import { field, fields, resolver } from "./schema.js";
import { tryIt } from "./try.js";

const main = document.getElementById("main");
const toc = document.getElementById("toc");
const filter = document.getElementById("filter");

function routesOf(api) {
  return Object.entries(api.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      ({ path, method, operation, id: operation.operationId })));
}

function path(template) {
  return el("span", { class: "path" }, template.split(/(\{[^}]+\})/).map((part) =>
    part.startsWith("{") ? el("b", null, part) : part));
}

function contents(groups) {
  toc.replaceChildren(...groups.map(([tag, routes]) => el("section", null,
    el("h2", null, tag.name.replace(/Service$/, "")),
    el("ul", null, routes.map((route) => el("li", { "data-text": `${route.id} ${route.path}`.toLowerCase() },
      el("a", { href: `#${route.id}` }, verb(route.method), el("span", null, route.id))))))));
}

function overview(api, groups) {
  return el("article", null,
    el("h1", null, "API reference"), prose(api.info.description),
    groups.map(([tag, routes]) => [
      el("h2", null, tag.name), prose(withoutName(tag.description, tag.name)),
      el("ul", { class: "cards" }, routes.map((route) => el("li", null,
        el("a", { href: `#${route.id}` }, verb(route.method), el("code", null, route.path),
          el("span", null, withoutName(route.operation.summary, route.id)))))),
    ]));
}

function operation(route, resolve) {
  const parameters = route.operation.parameters.map(resolve);
  const body = route.operation.requestBody?.content["application/json"];
  return el("article", null,
    el("h1", null, route.id),
    el("div", { class: "route" }, verb(route.method), path(route.path)),
    prose(withoutName(route.operation.description, route.id)),
    el("div", { class: "columns" },
      el("div", null,
        el("h2", null, "Parameters"),
        el("ul", { class: "fields" }, parameters.map((each) => field(each.name,
          { ...resolve(each.schema), description: each.description }, resolve, true, each.required))),
        body && [el("h2", null, "Body"), fields(body.schema, resolve, true)],
        el("h2", null, "Responses"),
        Object.entries(route.operation.responses).map(([status, response]) =>
          responseSection(status, resolve(response), resolve))),
      tryIt(route, resolve)));
}

function responseSection(status, response, resolve) {
  const success = status < "300";
  const content = response.content?.["application/json"];
  const head = el("h3", null, el("span", { class: `status ${success ? "ok" : "bad"}` }, status));
  if (!success || !content) return el("section", null, head, prose(response.description));
  const schema = resolve(content.schema);
  return el("section", null, head,
    schema.type === "array" ? fields(schema.items, resolve, false) : fields(schema, resolve, false),
    content.example && el("details", null, el("summary", null, "example"),
      json(JSON.stringify(content.example, null, 2))));
}

function applyFilter() {
  const words = filter.value.toLowerCase().split(/\s+/);
  let total = 0;
  for (const section of toc.children) {
    let visible = 0;
    for (const item of section.querySelectorAll("li")) {
      item.hidden = !words.every((word) => item.dataset.text.includes(word));
      visible += !item.hidden;
    }
    section.hidden = !visible;
    total += visible;
  }
  document.getElementById("none").hidden = total > 0;
}

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  const resolve = resolver(api);
  const routes = routesOf(api);
  const groups = api.tags.map((tag) => [tag, routes.filter((each) => each.operation.tags.includes(tag.name))]);
  document.getElementById("version").textContent = api.info.version;
  contents(groups);
  filter.addEventListener("input", applyFilter);

  const show = (navigated) => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id === "main") return;
    const route = routes.find((each) => each.id === id);
    main.replaceChildren(route ? operation(route, resolve) : overview(api, groups));
    document.title = route ? `${route.id} · pdp API` : "pdp API";
    for (const link of toc.querySelectorAll("a")) {
      if (link.hash === `#${id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (navigated) { scrollTo(0, 0); main.focus({ preventScroll: true }); }
  };
  addEventListener("hashchange", () => show(true));
  show(false);
}

start().catch((error) => main.replaceChildren(el("p", null, `Cannot read openapi.json: ${error.message}`)));
