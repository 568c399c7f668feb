// The "Try it" form, and the equivalent curl command.
import { el, json } from "./dom.js";

const STORAGE_PREFIX = "pdp-docs-";
const CREDENTIAL = { name: "X-API-Key", in: "header", schema: { type: "string" }, secret: true };

// Held in memory only, until the page is closed.
let credential = "";

export function tryIt(route, resolve) {
  const parameters = [...route.operation.parameters.map(resolve), CREDENTIAL];
  const inputs = parameters.map((each) => [each, input(each, resolve)]);
  const content = route.operation.requestBody?.content["application/json"];
  const body = content && el("textarea", { id: "try-body", spellcheck: "false" });
  if (body) {
    body.value = JSON.stringify(content.example ?? {}, null, 2);
    body.rows = Math.min(24, body.value.split("\n").length + 2);
  }

  const curl = el("pre", { tabindex: "0" });
  const refresh = () => { curl.textContent = curlLine(request(route, inputs, body)); };
  const result = el("div", { "aria-live": "polite" });
  const send = el("button", { type: "submit" }, "Send");
  const form = el("form", {
    oninput: refresh,
    onsubmit: (event) => { event.preventDefault(); run(request(route, inputs, body), send, result); },
    onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    },
  },
  inputs.map(([each, control]) => el("div", { class: "row" },
    el("label", { for: control.id }, each.name, el("small", null, ` ${each.in}`)), control)),
  body && el("div", { class: "row" },
    el("label", { for: "try-body" }, "body", el("small", null, " application/json")), body),
  send, result);
  refresh();

  const copy = el("button", { type: "button", class: "plain", onclick: async () => {
    await navigator.clipboard.writeText(curl.textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return el("div", { class: "aside" },
    el("section", { class: "panel", "aria-labelledby": "curl" },
      el("div", { class: "head" }, el("h2", { id: "curl" }, "With curl"), copy), curl),
    el("section", { class: "panel", "aria-labelledby": "try" },
      el("h2", { id: "try" }, "Try it here"), form));
}

function input(parameter, resolve) {
  const id = `try-${parameter.name}`;
  const schema = resolve(parameter.schema);
  const choices = schema.type === "boolean" ? ["", "true", "false"] : schema.enum;
  if (choices) {
    const all = choices.includes("") ? choices : ["", ...choices];
    return el("select", { id }, all.map((each) => el("option", { value: each }, each || "–")));
  }
  const control = el("input", {
    id, autocomplete: "off", spellcheck: "false", required: parameter.required ?? false,
    inputmode: schema.type === "integer" ? "numeric" : null,
  });
  control.value = parameter.example ?? "";
  if (parameter.secret) {
    control.type = "password";
    control.value = credential;
    control.addEventListener("input", () => { credential = control.value; });
  } else if (parameter.name === "X-Tenant-ID") {
    const key = STORAGE_PREFIX + "tenant";
    control.value = sessionStorage.getItem(key) ?? control.value;
    control.addEventListener("input", () => sessionStorage.setItem(key, control.value));
  }
  return control;
}

function request({ method, path }, inputs, body) {
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, control] of inputs) {
    const value = control.value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.append(parameter.name, value);
    else if (value) headers[parameter.name] = value;
  }
  if (body) headers["Content-Type"] = "application/json";
  const search = query.size ? `?${query}` : "";
  return { method: method.toUpperCase(), url: path + search, headers, body: body?.value };
}

const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curlLine({ method, url, headers, body }) {
  const address = location.origin + url;
  const parts = [`curl ${method === "GET" ? "" : `-X ${method} `}${shellQuote(address)}`];
  for (const [name, value] of Object.entries(headers)) {
    // Users copy and share this command, so it must not have the credential.
    parts.push(name === CREDENTIAL.name ? `-H "${name}: $PDP_API_KEY"` : `-H ${shellQuote(`${name}: ${value}`)}`);
  }
  if (body != null) parts.push(`-d ${shellQuote(compact(body))}`);
  return parts.join(" \\\n  ");
}

function compact(text) {
  try { return JSON.stringify(JSON.parse(text)); } catch { return text; }
}

async function run({ method, url, headers, body }, send, result) {
  send.disabled = true;
  const begin = performance.now();
  try {
    const response = await fetch(url, { method, headers, body });
    const text = await response.text();
    const duration = `${Math.round(performance.now() - begin)} ms`;
    const status = el("span", { class: `status ${response.ok ? "ok" : "bad"}` },
      `${response.status} ${response.statusText}`);
    result.replaceChildren(el("h3", null, status, el("small", { class: "soft" }, duration)), json(pretty(text)));
  } catch (error) {
    result.replaceChildren(el("h3", { class: "bad" }, `The server did not respond: ${error.message}`));
  }
  send.disabled = false;
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
