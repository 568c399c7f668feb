/** A form for a schema of the contract: its fields, their help, and the server's own errors. */
import { useId, useState } from "preact/hooks";
import type { Violation } from "../api/errors";
import { Editor } from "../ui/editor";
import { words } from "../ui/format";
import { choicesOf, help, type Kind, type Schema, type SchemaReader } from "./schema";
import { violationsAt } from "./violations";

export type Values = Readonly<Record<string, unknown>>;

/** What a list of ids may hold, by the name of the field: the names that people know. */
export type Suggestions = Readonly<Record<string, readonly Suggestion[]>>;

export interface Suggestion {
  readonly value: string;
  readonly label: string;
}

export interface FormProps {
  readonly reader: SchemaReader;
  readonly schema: Schema;
  readonly value: Values;
  readonly onChange: (value: Values) => void;
  readonly violations: readonly Violation[];
  /** Names of fields that are not shown. */
  readonly hidden?: readonly string[];
  /** The path of the value in the request, for violations: empty at the top. */
  readonly path?: string;
  readonly suggestions?: Suggestions;
}

interface FieldProps extends Omit<FormProps, "schema" | "value" | "onChange" | "hidden" | "path"> {
  readonly name: string;
  readonly schema: Schema;
  readonly required: boolean;
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
  readonly path: string;
}

/** The fields of an object. Required ones come first; a field without a value is not sent. */
export function SchemaForm(props: FormProps) {
  const schema = props.reader.resolve(props.schema);
  const required = new Set(schema.required ?? []);
  const names = Object.keys(schema.properties ?? {}).filter(
    (name) => name !== "warnings" && props.hidden?.includes(name) !== true,
  );
  const ordered = [
    ...names.filter((n) => required.has(n)),
    ...names.filter((n) => !required.has(n)),
  ];
  const set = (name: string, value: unknown) => {
    const { [name]: _before, ...rest } = props.value;
    props.onChange(value === undefined ? rest : { ...rest, [name]: value });
  };
  return (
    <div class="form">
      {ordered.map((name) => (
        <Field
          {...props}
          key={name}
          name={name}
          schema={schema.properties?.[name] ?? {}}
          required={required.has(name)}
          value={props.value[name]}
          onChange={(value) => set(name, value)}
          path={props.path === undefined || props.path === "" ? name : `${props.path}.${name}`}
        />
      ))}
    </div>
  );
}

/** One field with its label, its help, and what is wrong with it. */
function Field(props: FieldProps) {
  const { name, reader, path } = props;
  const schema = reader.resolve(props.schema);
  const kind = reader.kind(name, schema);
  const id = useId();
  const nested = kind === "object" || kind === "objects";
  const problems = violationsAt(props.violations, path, nested);
  const description = help(name, props.schema.description ?? schema.description);
  const group = nested || kind === "choices";
  const label = (
    <>
      {words(name)}
      {props.required && <span class="required"> required</span>}
    </>
  );
  const control = (
    <Control {...props} schema={schema} kind={kind} id={id} invalid={problems.length > 0} />
  );
  const notes = (
    <>
      {description !== "" && (
        <p class="help" id={`${id}-help`}>
          <HelpText text={description} />
        </p>
      )}
      {problems.map(({ reason, field }) => (
        <p class="problem" id={`${id}-problem`} key={field + reason}>
          {reason}
        </p>
      ))}
    </>
  );
  if (group) {
    return (
      <fieldset class={`field ${kind}`} aria-describedby={`${id}-help`}>
        <legend>{label}</legend>
        {notes}
        {control}
      </fieldset>
    );
  }
  return (
    <div class={`field ${kind}${problems.length > 0 ? " invalid" : ""}`}>
      <label for={id}>{label}</label>
      {control}
      {notes}
    </div>
  );
}

/** A description of the contract: what it has between backticks is code. */
function HelpText({ text }: { text: string }) {
  return (
    <>
      {text
        .split("`")
        .map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}
    </>
  );
}

interface ControlProps extends FieldProps {
  readonly kind: Kind;
  readonly id: string;
  readonly invalid: boolean;
}

function Control(props: ControlProps) {
  switch (props.kind) {
    case "choice":
      return <Choice {...props} />;
    case "boolean":
      return <YesNo {...props} />;
    case "choices":
      return <Choices {...props} />;
    case "strings":
      return <Strings {...props} />;
    case "object":
      return <ObjectField {...props} />;
    case "objects":
      return <ObjectsField {...props} />;
    case "json":
      return <JsonField {...props} />;
    case "pattern":
    case "condition":
      return <CodeField {...props} />;
    default: {
      const known = props.suggestions?.[props.name] ?? [];
      return known.length > 0 && props.kind === "text" ? (
        <Reference {...props} known={known} />
      ) : (
        <Input {...props} />
      );
    }
  }
}

function attributes({ id, invalid, required }: ControlProps) {
  return {
    id,
    "aria-required": required,
    "aria-invalid": invalid,
    "aria-describedby": `${id}-help${invalid ? ` ${id}-problem` : ""}`,
  };
}

function Input(props: ControlProps) {
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

function Choice(props: ControlProps) {
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

function YesNo(props: ControlProps) {
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

function Choices({ schema, reader, value, onChange }: ControlProps) {
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

/** A list of short texts: one a line, with suggestions where the product knows the names. */
function Strings(props: ControlProps) {
  const { value, onChange, name, suggestions, id } = props;
  const items = Array.isArray(value) ? (value as unknown[]).map(String) : [];
  const known = suggestions?.[name] ?? [];
  const [draft, setDraft] = useState("");
  const add = (text: string) => {
    const match = known.find(({ label }) => label === text);
    const item = match?.value ?? text;
    if (item !== "" && !items.includes(item)) onChange([...items, item]);
    setDraft("");
  };
  const labelOf = (item: string) => known.find((one) => one.value === item)?.label ?? item;
  return (
    <div class="tags">
      {items.map((item) => (
        <span class="tag" key={item}>
          {labelOf(item)}
          <button
            type="button"
            class="plain"
            aria-label={`Remove ${labelOf(item)}`}
            onClick={() => {
              const rest = items.filter((one) => one !== item);
              onChange(rest.length === 0 ? undefined : rest);
            }}
          >
            ×
          </button>
        </span>
      ))}
      <input
        {...attributes(props)}
        type="text"
        autocomplete="off"
        placeholder="Add one, then Enter"
        list={known.length > 0 ? `${id}-known` : undefined}
        value={draft}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          add(draft);
        }}
        onBlur={() => add(draft)}
      />
      {known.length > 0 && <KnownNames id={`${id}-known`} known={known} typed={draft} />}
    </div>
  );
}

/** How many names a browser is given to choose from: among more, the user types a part first. */
const MOST_NAMES = 100;

/** The names that contain what has been typed. */
function KnownNames({
  id,
  known,
  typed,
}: {
  id: string;
  known: readonly Suggestion[];
  typed: string;
}) {
  const part = typed.toLowerCase();
  const fitting = known.filter(({ label }) => label.toLowerCase().includes(part));
  return (
    <datalist id={id}>
      {fitting.slice(0, MOST_NAMES).map(({ value, label }) => (
        <option key={value} value={label} />
      ))}
    </datalist>
  );
}

/** A reference to one thing: people choose its name, the value is its id. Other texts stay as they are. */
function Reference(props: ControlProps & { readonly known: readonly Suggestion[] }) {
  const { value, onChange, known, id } = props;
  const text = value === undefined || value === null ? "" : String(value);
  const shown = known.find((one) => one.value === text)?.label ?? text;
  return (
    <>
      <input
        {...attributes(props)}
        type="text"
        autocomplete="off"
        list={`${id}-known`}
        value={shown}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          const match = known.find(({ label }) => label === typed);
          onChange(typed === "" ? undefined : (match?.value ?? typed));
        }}
      />
      <KnownNames id={`${id}-known`} known={known} typed={shown} />
    </>
  );
}

function ObjectField(props: ControlProps) {
  const value = isRecord(props.value) ? props.value : undefined;
  const [open, setOpen] = useState(value !== undefined || props.required);
  if (!open) {
    return (
      <button type="button" onClick={() => setOpen(true)}>
        Set {words(props.name).toLowerCase()}
      </button>
    );
  }
  return (
    <div class="nested">
      <SchemaForm
        {...props}
        value={value ?? {}}
        onChange={(next) => props.onChange(Object.keys(next).length === 0 ? undefined : next)}
      />
      {!props.required && (
        <button
          type="button"
          onClick={() => {
            props.onChange(undefined);
            setOpen(false);
          }}
        >
          Remove {words(props.name).toLowerCase()}
        </button>
      )}
    </div>
  );
}

function ObjectsField(props: ControlProps) {
  const items = Array.isArray(props.value) ? (props.value as unknown[]) : [];
  const change = (next: unknown[]) => props.onChange(next.length === 0 ? undefined : next);
  const move = (from: number, to: number) => {
    const next = [...items];
    next.splice(to, 0, ...next.splice(from, 1));
    change(next);
  };
  return (
    <div class="nested-list">
      {items.map((item, index) => (
        <section class="nested" key={index} aria-label={`${words(props.name)} ${index + 1}`}>
          <div class="row-buttons">
            <strong>{index + 1}</strong>
            <button type="button" disabled={index === 0} onClick={() => move(index, index - 1)}>
              Up
            </button>
            <button
              type="button"
              disabled={index === items.length - 1}
              onClick={() => move(index, index + 1)}
            >
              Down
            </button>
            <button type="button" onClick={() => change(items.filter((_one, at) => at !== index))}>
              Remove
            </button>
          </div>
          <SchemaForm
            {...props}
            schema={props.schema.items ?? {}}
            value={isRecord(item) ? item : {}}
            onChange={(next) => change(items.map((one, at) => (at === index ? next : one)))}
            path={`${props.path}[${index}]`}
          />
        </section>
      ))}
      <button type="button" onClick={() => change([...items, {}])}>
        Add to {words(props.name).toLowerCase()}
      </button>
    </div>
  );
}

function CodeField({ id, kind, name, value, onChange }: ControlProps) {
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

function JsonField({ id, name, value, onChange }: ControlProps) {
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

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
