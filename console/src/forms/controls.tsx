/** The controls of fields that have one value, or chosen ones. */
import { useState } from "preact/hooks";
import { Editor } from "../ui/editor";
import { words } from "../ui/format";
import { attributes, type ControlProps } from "./fields";
import { choicesOf } from "./schema";

export function Input(props: ControlProps) {
  const { kind, value, onChange, schema } = props;
  const text = value === undefined || value === null ? "" : String(value);
  const numeric = kind === "integer" || kind === "number";
  const change = (next: string) => {
    if (next === "") onChange(undefined);
    else if (numeric && next.trim() !== "" && !Number.isNaN(Number(next))) onChange(Number(next));
    else onChange(next);
  };
  if (kind === "long_text") {
    return (
      <textarea
        {...attributes(props)}
        rows={3}
        onInput={(e) => change(e.currentTarget.value)}
        value={text}
      />
    );
  }
  return (
    <input
      {...attributes(props)}
      type="text"
      inputMode={numeric ? "decimal" : "text"}
      autocomplete="off"
      placeholder={kind === "time" ? "2026-12-31T00:00:00Z" : ""}
      maxLength={schema.maxLength}
      value={text}
      onInput={(event) => change(event.currentTarget.value)}
    />
  );
}

export function Choice(props: ControlProps) {
  const choices = choicesOf(props.schema);
  const value = props.value === undefined || props.value === null ? "" : String(props.value);
  return (
    <select
      {...attributes(props)}
      value={value}
      onChange={(event) => {
        const next = event.currentTarget.value;
        props.onChange(next === "" ? undefined : next);
      }}
    >
      <option value="">{props.required ? "Choose…" : "Not set"}</option>
      {choices.map((choice) => (
        <option key={choice} value={choice}>
          {choice}
        </option>
      ))}
    </select>
  );
}

export function YesNo(props: ControlProps) {
  const value = typeof props.value === "boolean" ? String(props.value) : "";
  return (
    <select
      {...attributes(props)}
      value={value}
      onChange={(event) => {
        const next = event.currentTarget.value;
        props.onChange(next === "" ? undefined : next === "true");
      }}
    >
      <option value="">Not set</option>
      <option value="true">Yes</option>
      <option value="false">No</option>
    </select>
  );
}

export function Choices({ schema, reader, value, onChange }: ControlProps) {
  const choices = choicesOf(reader.resolve(schema.items ?? {}));
  const chosen = Array.isArray(value) ? (value as unknown[]) : [];
  return (
    <div class="choices-list">
      {choices.map((choice) => (
        <label key={choice} class="check">
          <input
            type="checkbox"
            checked={chosen.includes(choice)}
            onChange={(event) => {
              const next = event.currentTarget.checked
                ? choices.filter((one) => one === choice || chosen.includes(one))
                : chosen.filter((one) => one !== choice);
              onChange(next.length === 0 ? undefined : next);
            }}
          />
          {choice}
        </label>
      ))}
    </div>
  );
}

export function CodeField({ id, kind, name, value, onChange }: ControlProps) {
  return (
    <Editor
      id={id}
      label={words(name)}
      language={kind === "pattern" ? "pattern" : "condition"}
      value={typeof value === "string" ? value : ""}
      onChange={(text) => onChange(text === "" ? undefined : text)}
    />
  );
}

export function JsonField({ id, name, value, onChange }: ControlProps) {
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const [problem, setProblem] = useState("");
  const change = (next: string) => {
    setText(next);
    if (next.trim() === "") {
      setProblem("");
      onChange(undefined);
      return;
    }
    try {
      const parsed: unknown = JSON.parse(next);
      setProblem("");
      onChange(parsed);
    } catch (cause) {
      // What is sent stays text, which the server refuses: a half-written value is never lost silently.
      setProblem(`This is not JSON: ${String((cause as Error).message)}`);
      onChange(next);
    }
  };
  return (
    <>
      <Editor
        id={id}
        label={words(name)}
        language="json"
        lines={4}
        value={text}
        onChange={change}
      />
      {problem !== "" && <p class="problem">{problem}</p>}
    </>
  );
}
