/** Text that has a syntax: JSON, conditions, patterns. CodeMirror is loaded when one is shown. */
import { useEffect, useRef } from "preact/hooks";
import type { CodeEditor, Language } from "./code_editor";

export interface EditorProps {
  readonly id?: string;
  readonly label: string;
  readonly language: Language;
  readonly value: string;
  readonly onChange?: (value: string) => void;
  readonly readOnly?: boolean;
  /** The height that the editor has at least, in lines. */
  readonly lines?: number;
  /** Ranges to mark, in UTF-16 units. */
  readonly marks?: readonly Mark[];
}

export interface Mark {
  readonly start: number;
  readonly end: number;
  readonly title: string;
}

export function Editor(props: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<CodeEditor | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    let gone = false;
    void import("./code_editor").then(({ CodeEditor }) => {
      if (gone || host.current === null) return;
      const { label, language, readOnly, value, id } = latest.current;
      editor.current = new CodeEditor(host.current, {
        label,
        language,
        value,
        id: id ?? "",
        readOnly: readOnly === true,
        onChange: (text) => latest.current.onChange?.(text),
      });
      editor.current.mark(latest.current.marks ?? []);
    });
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = undefined;
    };
  }, []);

  useEffect(() => {
    editor.current?.replace(props.value);
    editor.current?.mark(props.marks ?? []);
  }, [props.value, props.marks]);

  return (
    <div class="editor" ref={host} style={{ minHeight: `${(props.lines ?? 1) * 1.5 + 0.75}rem` }} />
  );
}
