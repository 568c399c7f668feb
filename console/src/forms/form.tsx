/** A form for a schema of the contract: its fields, their help, and the server's own errors. */
import { useId, useState } from "preact/hooks";
import { words } from "../ui/format";
import { Choice, Choices, CodeField, Input, JsonField, YesNo } from "./controls";
import { type ControlProps, type FieldProps, type FormProps, isRecord } from "./fields";
import { Reference, Strings } from "./names";
import { help } from "./schema";
import { violationsAt } from "./violations";

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
