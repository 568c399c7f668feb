// Builds the elements of the page: prose, JSON and others. Text is always added as text nodes.

export function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

// Returns a description, which is plain text with `code`, paragraphs and lists.
export function prose(text) {
  const blocks = (text ?? "").split("\n\n").map((block) => {
    if (block.startsWith("    ")) return el("pre", null, block.replace(/^ {4}/gm, ""));
    if (block.startsWith("- ")) {
      return el("ul", null, block.split("\n").map((line) => el("li", null, inline(line.slice(2)))));
    }
    return el("p", null, inline(block));
  });
  return el("div", { class: "prose" }, blocks);
}

function inline(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", null, part) : part));
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

export function json(text) {
  const pre = el("pre", { tabindex: "0" });
  let last = 0;
  for (const match of text.matchAll(TOKEN)) {
    pre.append(text.slice(last, match.index));
    const [whole, string, colon] = match;
    const kind = string ? (colon ? "key" : "string") : /^[-\d]/.test(whole) ? "number" : "word";
    pre.append(el("span", { class: kind }, string ?? whole), colon ?? "");
    last = match.index + whole.length;
  }
  pre.append(text.slice(last));
  return pre;
}

// Removes the name at the beginning of a description, such as "name is the name of the policy".
export function withoutName(text, name) {
  if (!text?.startsWith(`${name} `)) return text;
  const rest = text.slice(name.length + 1).replace(/^(is|are) /, "");
  return rest[0].toUpperCase() + rest.slice(1);
}

export function verb(method) {
  return el("span", { class: `verb ${method}` }, method.toUpperCase());
}
