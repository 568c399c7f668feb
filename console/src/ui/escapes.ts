/** Text that is pasted into shells and files. What a prompt holds must stay data there. */

/**
 * What a terminal could act on, or what cannot be seen: control characters, line and paragraph
 * separators, marks of direction, characters without width, halves of surrogate pairs.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]|\p{Cs}/gu;

/** Returns JSON in which unsafe characters are escaped. It is also a scalar of YAML. */
export function safeJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE, (character) =>
    character === "\n" && indent > 0
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether a text has no character that must be escaped. */
export function isPlain(text: string): boolean {
  return text.search(UNSAFE) < 0;
}

/** Returns one word of a POSIX shell. */
export function shellWord(text: string): string {
  if (/^[A-Za-z0-9_./:@%+=-]+$/.test(text) && !text.startsWith("=")) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Words that YAML reads as something else than text. */
const YAML_WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/i;

/** Returns a value as block YAML, each line indented. All texts are quoted. */
export function yaml(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    if (value.every(isScalar)) return ` [${value.map((one) => safeJson(one)).join(", ")}]\n`;
    return `\n${value.map((one) => `${indent}- ${yaml(one, `${indent}  `).trimStart()}`).join("")}`;
  }
  if (isScalar(value)) return ` ${safeJson(value)}\n`;
  const members = Object.entries(value as object).filter(([, member]) => member !== undefined);
  if (members.length === 0) return " {}\n";
  return `\n${members.map(([key, member]) => `${indent}${yamlKey(key)}:${yaml(member, `${indent}  `)}`).join("")}`;
}

function yamlKey(key: string): string {
  return PLAIN_KEY.test(key) && !YAML_WORDS.test(key) ? key : safeJson(key);
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== "object";
}
