/** The form of a new entity: empty, a copy of another, or as the address says. */
import { useSignal } from "@preact/signals";
import { contract, type Contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { choicesOf, type Schema, type SchemaReader, typeOf } from "../../forms/schema";
import { changedNames, formValues } from "../../forms/values";
import { go, location } from "../../router";
import { api } from "../../session";
import { Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { DraftButton } from "./draft_button";
import { saved } from "./entity_form";
import { formPlan, type FormPlan, partsOf, readEntity, writeEntity } from "./entity_store";
import { Crumbs } from "./entity_view";
import { useNames, withIds } from "./references";
import { SectionForm } from "./section_form";
import type { Section } from "./types";
import { useUnsavedWarning } from "./unsaved";

export function NewView({ section }: { section: Section }) {
  const { query } = location.value;
  const remote = useRemote(`new ${section.path} ${query.toString()}`, async (signal) => {
    const document = await contract();
    const plan = formPlan(section, document);
    return { document, plan, values: await firstValues(section, plan, document, query, signal) };
  });
  return (
    <>
      <Crumbs section={section} />
      <div class="page-head">
        <h1>New {section.one}</h1>
      </div>
      <p class="soft">{section.about}</p>
      <Loaded remote={remote}>
        {({ document, plan, values }) => (
          <NewForm
            key={query.toString()}
            section={section}
            contract={document}
            plan={plan}
            first={values}
          />
        )}
      </Loaded>
    </>
  );
}

/** Returns the values that the form begins with. */
async function firstValues(
  section: Section,
  plan: FormPlan,
  document: Contract,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<Values> {
  const copied = query.get("copy");
  if (copied !== null) {
    const { entity } = await readEntity(section, copied, signal);
    const source = section.toForm?.(entity) ?? entity;
    const values = section.copy?.(entity) ?? formValues(source, plan.schema, plan.hidden);
    const name = values[section.nameField];
    return typeof name === "string"
      ? { ...values, [section.nameField]: `Copy of ${name}` }
      : values;
  }
  const deleted = query.get("restore");
  if (deleted !== null) return formerValues(section, plan, deleted, signal);
  return queryValues(plan.schema, document.reader, query);
}

/** Returns the last values of an entity that was deleted. */
async function formerValues(
  section: Section,
  plan: FormPlan,
  id: string,
  signal: AbortSignal,
): Promise<Values> {
  const query = { entity_id: id, op: "delete" as const, limit: 1 };
  const { changes } = await api.call("ListChanges", { query, signal });
  const [last] = changes;
  const body = (last?.before ?? {}) as Values;
  const values = section.fromChange?.(body, last?.kind ?? "") ?? body;
  return formValues(values, plan.schema, plan.hidden);
}

/** Returns the fields that an address names: `?groups=sre&groups=ops&enabled=true`. */
export function queryValues(schema: Schema, reader: SchemaReader, query: URLSearchParams): Values {
  const names = Object.keys(schema.properties ?? {}).filter((name) => query.has(name));
  return Object.fromEntries(
    names.map((name) => {
      const property = reader.resolve(schema.properties?.[name] ?? {});
      const all = query.getAll(name);
      const first = all[0] ?? "";
      if (typeOf(property) === "array") return [name, all];
      if (typeOf(property) === "boolean") return [name, first === "true"];
      const numeric = ["integer", "number"].includes(typeOf(property));
      return [name, numeric && choicesOf(property).length === 0 ? Number(first) : first];
    }),
  );
}

interface NewFormProps {
  readonly section: Section;
  readonly contract: Contract;
  readonly plan: FormPlan;
  readonly first: Values;
}

function NewForm({ section, contract: document, plan, first }: NewFormProps) {
  const values = useSignal<Values>(first);
  const task = useTask();
  const names = useNames(section.references ?? {});
  useUnsavedWarning(changedNames(first, values.value).length > 0);
  const create = () =>
    task.run(async () => {
      const { id, revision } = await writeEntity(
        section,
        "",
        withIds(values.value, names.suggestions),
        "",
      );
      notify(saved(revision));
      go(partsOf(section.path, id), {}, true);
    });
  return (
    <>
      {names.problem !== "" && <p class="soft small">{names.problem}</p>}
      <SectionForm
        label={`New ${section.one}`}
        section={section}
        reader={document.reader}
        plan={plan}
        values={values}
        names={names}
        error={task.error.value}
        submit={() => void create()}
      >
        {() => (
          <>
            <button type="submit" class="primary" disabled={task.running.value}>
              {task.running.value ? "Creating…" : `Create ${section.one}`}
            </button>
            <DraftButton
              section={section}
              values={values.value}
              entity={undefined}
              suggestions={names.suggestions}
            />
          </>
        )}
      </SectionForm>
    </>
  );
}
