/** The form of a section, for a new entity as for one that is there: its fields, and what is beside them. */
import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { ApiError } from "../../api/errors";
import type { Values } from "../../forms/fields";
import type { SchemaReader } from "../../forms/schema";
import { ContractForm } from "./contract_form";
import type { FormPlan } from "./entity_store";
import type { Names } from "./references";
import type { Section } from "./types";

export interface SectionFormProps {
  readonly label: string;
  readonly section: Section;
  readonly reader: SchemaReader;
  readonly plan: FormPlan;
  readonly values: Signal<Values>;
  readonly names: Names;
  readonly error: ApiError | undefined;
  /** What is shown beside the form needs to know, and the form does not have. */
  readonly facts?: Values;
  readonly submit: () => void;
  /** The buttons below. `replace` puts other values into the fields. */
  readonly children: (replace: (values: Values) => void) => ComponentChildren;
}

export function SectionForm(props: SectionFormProps) {
  const { section, plan, values, names } = props;
  const Beside = section.beside;
  // Fields keep what is typed, so other values need other fields.
  const generation = useSignal(0);
  const replace = (next: Values) => {
    values.value = next;
    generation.value += 1;
  };
  return (
    <form
      class={Beside === undefined ? "" : "with-side"}
      aria-label={props.label}
      onSubmit={(event) => {
        event.preventDefault();
        props.submit();
      }}
    >
      <div key={generation.value}>
        <ContractForm
          reader={props.reader}
          schema={section.adapt?.(plan.schema, values.value) ?? plan.schema}
          groups={section.groups}
          hidden={plan.hidden}
          values={values.value}
          onChange={(next) => (values.value = section.tidy?.(next) ?? next)}
          error={props.error}
          suggestions={names.suggestions}
        />
      </div>
      {Beside !== undefined && (
        <aside>
          <Beside values={{ ...props.facts, ...values.value }} change={replace} />
        </aside>
      )}
      <div class="save-bar">{props.children(replace)}</div>
    </form>
  );
}
