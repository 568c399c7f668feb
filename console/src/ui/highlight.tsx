/** Text with marked parts. */
import { unitOffsets } from "./code_points";

/** A part of a text, in code points. */
export interface Span {
  readonly start: number;
  readonly end: number;
  /** What the part is, for a tooltip and for those who cannot see the colour. */
  readonly title: string;
}

export interface Piece {
  readonly text: string;
  /** Why it is marked; empty if it is not. */
  readonly title: string;
}

/** Cuts a text at the ends of its spans. Where spans overlap, the piece has the titles of all. */
export function pieces(text: string, spans: readonly Span[]): Piece[] {
  const units = unitOffsets(text);
  const ranges = spans
    .map(({ start, end, title }) => ({ start: units(start), end: units(end), title }))
    .filter(({ start, end }) => start < end);
  const cuts = new Set([0, text.length, ...ranges.flatMap(({ start, end }) => [start, end])]);
  const ordered = [...cuts].sort((a, b) => a - b);
  return ordered.slice(0, -1).map((start, index) => {
    const end = ordered[index + 1] ?? text.length;
    const titles = ranges
      .filter((one) => one.start <= start && one.end >= end)
      .map((one) => one.title);
    return { text: text.slice(start, end), title: [...new Set(titles)].join(", ") };
  });
}

export function Highlighted({ text, spans }: { text: string; spans: readonly Span[] }) {
  return (
    <pre class="highlighted" tabIndex={0}>
      {pieces(text, spans).map((piece, index) =>
        piece.title === "" ? (
          piece.text
        ) : (
          <mark key={index} title={piece.title}>
            {piece.text}
          </mark>
        ),
      )}
    </pre>
  );
}

/** What redactions leave: `[REDACTED]`, `[EMAIL_1]`, `****1111`. */
export const REPLACEMENT = /\[[A-Z][A-Z0-9_: -]{2,60}\]|\*{3,}[^\s*]{0,8}/g;

/** A redacted text, with the replacements marked. */
export function Redacted({ text }: { text: string }) {
  return (
    <pre class="highlighted" tabIndex={0}>
      <RedactedText text={text} />
    </pre>
  );
}

/** The same within a line. */
export function RedactedText({ text }: { text: string }) {
  const parts: (string | { readonly replacement: string })[] = [];
  let end = 0;
  for (const match of text.matchAll(REPLACEMENT)) {
    parts.push(text.slice(end, match.index), { replacement: match[0] });
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return (
    <>
      {parts.map((part, index) =>
        typeof part === "string" ? (
          part
        ) : (
          <mark class="redacted" key={index}>
            {part.replacement}
          </mark>
        ),
      )}
    </>
  );
}
