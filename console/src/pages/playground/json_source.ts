/** The places of the values of a JSON document in its source, so that they can be marked in place. */

export interface Range {
  /** UTF-16 units; of a string, without its quotes. */
  readonly start: number;
  readonly end: number;
}

/** The strings, numbers and keys of a JSON document, by JSON Pointer. */
export class JsonSource {
  private readonly values = new Map<string, Range>();
  private readonly keys = new Map<string, Range>();
  private at = 0;

  private constructor(readonly text: string) {
    this.value("");
  }

  /** Returns undefined if the text is not JSON. */
  static of(text: string): JsonSource | undefined {
    try {
      JSON.parse(text);
    } catch {
      return undefined;
    }
    return new JsonSource(text);
  }

  /** Returns the place of a value, or of the key of a member. */
  range(pointer: string, inKey: boolean): Range | undefined {
    return (inKey ? this.keys : this.values).get(pointer);
  }

  /** Returns the range of code points of a decoded string, in the source. */
  part(range: Range, start: number, end: number): Range {
    const from = this.skip(range.start, range.end, start);
    return { start: from, end: this.skip(from, range.end, end - start) };
  }

  private value(pointer: string): void {
    this.blanks();
    const first = this.text[this.at];
    if (first === "{") this.object(pointer);
    else if (first === "[") this.array(pointer);
    else if (first === '"') this.values.set(pointer, this.string());
    else this.values.set(pointer, this.literal());
    this.blanks();
  }

  private object(pointer: string): void {
    this.at += 1;
    this.blanks();
    while (this.text[this.at] !== "}") {
      const key = this.string();
      const name = JSON.parse(this.text.slice(key.start - 1, key.end + 1)) as string;
      const member = `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      this.keys.set(member, key);
      this.blanks();
      this.at += 1;
      this.value(member);
      if (this.text[this.at] === ",") this.at += 1;
      this.blanks();
    }
    this.at += 1;
  }

  private array(pointer: string): void {
    this.at += 1;
    this.blanks();
    for (let index = 0; this.text[this.at] !== "]"; index += 1) {
      this.value(`${pointer}/${index}`);
      if (this.text[this.at] === ",") this.at += 1;
      this.blanks();
    }
    this.at += 1;
  }

  private string(): Range {
    const start = this.at + 1;
    let end = start;
    while (this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    this.at = end + 1;
    return { start, end };
  }

  private literal(): Range {
    const start = this.at;
    while (this.at < this.text.length && !/[\s,\]}]/.test(this.text[this.at] ?? "")) this.at += 1;
    return { start, end: this.at };
  }

  private blanks(): void {
    while (/\s/.test(this.text[this.at] ?? "")) this.at += 1;
  }

  /** Returns the offset after `count` code points of a string, not beyond `end`. */
  private skip(from: number, end: number, count: number): number {
    let at = from;
    for (let index = 0; index < count && at < end; index += 1) at += this.width(at);
    return Math.min(at, end);
  }

  /** The width of the source of one code point: a character, an escape, or two escapes of a pair. */
  private width(at: number): number {
    if (this.text[at] !== "\\") return (this.text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
    if (this.text[at + 1] !== "u") return 2;
    const pair = /^\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}/;
    return pair.test(this.text.slice(at, at + 12)) ? 12 : 6;
  }
}
