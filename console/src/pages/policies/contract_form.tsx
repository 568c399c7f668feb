/** A form of the contract in groups, with everything that the server says about it. */
import { ApiError } from "../../api/errors";
import type { Suggestions, Values } from "../../forms/fields";
import { SchemaForm } from "../../forms/form";
import type { Schema, SchemaReader } from "../../forms/schema";
import { isEmpty } from "../../forms/values";
import { unplaced, violationsAt } from "../../forms/violations";
import { ErrorBox } from "../../ui/feedback";
import type { FieldGroup } from "./types";

export interface ContractFormProps {
  readonly reader: SchemaReader;
  readonly schema: Schema;
  readonly groups: readonly FieldGroup[];
  readonly hidden: readonly string[];
  readonly values: Values;
  readonly onChange: (values: Values) => void;
  readonly error: ApiError | undefined;
  readonly suggestions: Suggestions;
}

export function ContractForm(props: ContractFormProps) {
  const names = Object.keys(props.schema.properties ?? {}).filter(
    (name) => name !== "warnings" && !props.hidden.includes(name),
  );
  const shown = groupsOf(props.groups, names);
  return (
    <>
      {props.error !== undefined && <ErrorBox error={withUnplaced(props.error, names)} />}
      {shown.map((group) => (
        <Group key={group.title} {...props} group={group} />
      ))}
    </>
  );
}

/** Returns the groups with the fields that the form has; fields of no group come last. */
function groupsOf(groups: readonly FieldGroup[], names: readonly string[]): readonly FieldGroup[] {
  const grouped = new Set(groups.flatMap((group) => group.fields));
  const rest = names.filter((name) => !grouped.has(name));
  return [...groups, { title: "More", fields: rest, folded: true }]
    .map((group) => ({ ...group, fields: group.fields.filter((name) => names.includes(name)) }))
    .filter((group) => group.fields.length > 0);
}

function Group(props: ContractFormProps & { readonly group: FieldGroup }) {
  const { group, schema, values, error, onChange } = props;
  const violations = error?.violations ?? [];
  const fields = (
    <SchemaForm
      reader={props.reader}
      schema={part(schema, group.fields)}
      value={values}
      onChange={onChange}
      violations={violations}
      suggestions={props.suggestions}
    />
  );
  if (group.folded !== true) {
    return (
      <section class="panel form-group" aria-label={group.title}>
        <h2>{group.title}</h2>
        {fields}
      </section>
    );
  }
  const used = group.fields.some(
    (name) => !isEmpty(values[name]) || violationsAt(violations, name, false).length > 0,
  );
  return (
    <details class="panel form-group" open={used}>
      <summary>{group.title}</summary>
      {fields}
    </details>
  );
}

/** Returns the schema of some fields, in their order. */
function part(schema: Schema, fields: readonly string[]): Schema {
  return {
    type: "object",
    properties: Object.fromEntries(fields.map((name) => [name, schema.properties?.[name] ?? {}])),
    required: (schema.required ?? []).filter((name) => fields.includes(name)),
  };
}

/** Returns an error with only the violations that no field shows. */
function withUnplaced(error: ApiError, names: readonly string[]): ApiError {
  const { status, code, message, requestId } = error;
  return new ApiError(status, code, message, unplaced(error.violations, names), requestId);
}
