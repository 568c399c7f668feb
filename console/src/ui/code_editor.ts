/** CodeMirror, set up for the languages of policies. A chunk of its own: most pages need none. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import {
  bracketMatching,
  HighlightStyle,
  StreamLanguage,
  syntaxHighlighting,
} from "@codemirror/language";
import { EditorState, type Extension, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Mark } from "./editor";

export type Language = "json" | "condition" | "pattern" | "text";

export interface CodeEditorOptions {
  readonly id: string;
  readonly label: string;
  readonly language: Language;
  readonly value: string;
  readonly readOnly: boolean;
  readonly onChange: (value: string) => void;
}

const setMarks = StateEffect.define<readonly Mark[]>();

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(current, transaction) {
    let next = current.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setMarks)) continue;
      const length = transaction.newDoc.length;
      const ranges = effect.value
        .filter(({ start, end }) => start < end && end <= length)
        .map(({ start, end, title }) =>
          Decoration.mark({ class: "mark", attributes: { title } }).range(start, end),
        );
      next = Decoration.set(ranges, true);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const KEYWORDS = /^(?:AND|OR|NOT|IN|IS|EXISTS|BETWEEN|CONTAINS|LIKE|MATCHES|TRUE|FALSE|NULL)\b/i;

/** The language of conditions: words, paths, strings, numbers. */
const condition = StreamLanguage.define({
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match(/^"(?:[^"\\]|\\.)*"?|^'(?:[^'\\]|\\.)*'?/)) return "string";
    if (stream.match(/^-?\d+(?:\.\d+)?/)) return "number";
    if (stream.match(KEYWORDS)) return "keyword";
    if (stream.match(/^[A-Za-z_][\w.]*/)) return "variableName";
    stream.next();
    return "operator";
  },
});

/** RE2 patterns: escapes, classes, groups, repetitions. */
const pattern = StreamLanguage.define({
  token(stream) {
    if (stream.match(/^\\(?:[pPx]\{[^}]*\}|x[0-9a-fA-F]{2}|.)/)) return "escape";
    if (stream.match(/^\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]?/)) return "string";
    if (stream.match(/^\((?:\?(?:[imsU-]+[:)]?|:|P?<\w+>))?/)) return "keyword";
    if (stream.match(/^[)|^$]/)) return "keyword";
    if (stream.match(/^(?:[*+?]|\{\d*,?\d*\})\??/)) return "number";
    stream.next();
    return null;
  },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--word)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--number)" },
  { tag: tags.propertyName, color: "var(--key)" },
  { tag: tags.escape, color: "var(--number)" },
]);

/** Styles from outside do not reach the editor; custom properties do. */
const theme = EditorView.theme({
  "&": { fontSize: "0.92rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { maxHeight: "32rem", fontFamily: "var(--mono)" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-tooltip": { background: "var(--panel)", border: "1px solid var(--line)" },
  ".mark": {
    padding: "0 0.1em",
    background: "var(--caution-tint)",
    color: "var(--caution)",
    borderBottom: "2px solid var(--caution)",
    borderRadius: "2px",
  },
  ".mark *": { color: "inherit" },
});

/**
 * Replaces selected text itself. A browser would keep the look of what was selected in a style
 * attribute, which the policy of the page forbids.
 */
const replacing = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const typed = event.inputType === "insertText" ? event.data : null;
    if (typed === null || view.state.readOnly || view.composing) return false;
    const { from, to } = selectedRange(view);
    if (from === to) return false;
    event.preventDefault();
    view.dispatch({
      changes: { from, to, insert: typed },
      selection: { anchor: from + typed.length },
      userEvent: "input.type",
      scrollIntoView: true,
    });
    return true;
  },
});

/** What the browser has selected: the editor hears of a new selection a moment later. */
function selectedRange(view: EditorView): { readonly from: number; readonly to: number } {
  // Not every browser has the selection of a shadow root there.
  const root = view.root as DocumentOrShadowRoot & { getSelection?: () => Selection | null };
  const selection = root.getSelection?.() ?? null;
  const { anchorNode, focusNode } = selection ?? {};
  if (!selection || !anchorNode || !focusNode) return view.state.selection.main;
  if (!view.contentDOM.contains(anchorNode) || !view.contentDOM.contains(focusNode))
    return view.state.selection.main;
  const anchor = view.posAtDOM(anchorNode, selection.anchorOffset);
  const focus = view.posAtDOM(focusNode, selection.focusOffset);
  return { from: Math.min(anchor, focus), to: Math.max(anchor, focus) };
}

const LANGUAGES: Record<Language, () => Extension> = {
  json: () => json(),
  condition: () => condition,
  pattern: () => pattern,
  text: () => [],
};

export class CodeEditor {
  private readonly view: EditorView;
  private silent = false;

  constructor(host: HTMLElement, options: CodeEditorOptions) {
    const attributes = {
      "aria-label": options.label,
      spellcheck: "false",
      ...(options.id === "" ? {} : { id: options.id }),
    };
    // In a document, CodeMirror writes <style>, which the policy of the page forbids. In a shadow
    // root it uses constructed style sheets.
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    this.view = new EditorView({
      parent: root,
      root,
      doc: options.value,
      extensions: [
        history(),
        // Escape, then Tab leaves the editor; CodeMirror sees to that.
        keymap.of([
          ...defaultKeymap,
          ...historyKeymap,
          ...(options.readOnly ? [] : [indentWithTab]),
        ]),
        replacing,
        bracketMatching(),
        syntaxHighlighting(colours),
        theme,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of(attributes),
        EditorState.readOnly.of(options.readOnly),
        LANGUAGES[options.language](),
        marks,
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !this.silent) options.onChange(update.state.doc.toString());
        }),
      ],
    });
  }

  /** Sets the text, unless the editor has it already: so the cursor stays while the user types. */
  replace(value: string): void {
    const { doc } = this.view.state;
    if (doc.toString() === value) return;
    this.silent = true;
    this.view.dispatch({ changes: { from: 0, to: doc.length, insert: value } });
    this.silent = false;
  }

  mark(ranges: readonly Mark[]): void {
    this.view.dispatch({ effects: setMarks.of(ranges) });
  }

  destroy(): void {
    this.view.destroy();
  }
}
