/** The tenant's own action for a policy of the product. */
import { useSignal } from "@preact/signals";
import { contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { changedNames, formValues } from "../../forms/values";
import { api, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { ContractForm } from "./contract_form";
import { DraftButton } from "./draft_button";
import { saved } from "./entity_form";
import { addressOf, keepWarnings } from "./entity_store";
import { ReadOnlyFields } from "./facts";
import { withPlaces } from "./sections/static_policies";
import type { EntityProps, Section } from "./types";

const GROUPS = [
  { title: "Override for this tenant", fields: ["action", "reason", "mode", "redaction"] },
  {
    title: "Only in some places or requests",
    fields: ["expression", "scope", "scope_actions", "in_prose"],
    folded: true,
  },
];

/** Shown below a policy of the product; a tenant's own policy has no overrides. */
export function OverridePanel(props: EntityProps) {
  if (props.entity["system"] !== true || !may("ListStaticPolicyOverrides")) return null;
  return <Override {...props} />;
}

function Override({ section, id, reload }: EntityProps) {
  const remote = useRemote(`override ${id}`, async (signal) => {
    const [answer, document] = await Promise.all([
      api.call("ListStaticPolicyOverrides", { signal }),
      contract(),
    ]);
    const found = answer.overrides.find((one) => one.policy_id === id);
    const schema = withPlaces(
      document.reader.resolve(document.bodyOf("CreateStaticPolicyOverride")),
    );
    const override: Values = found === undefined ? {} : { ...found, action: found.override_action };
    return { reader: document.reader, schema, exists: found !== undefined, override };
  });
  const changed = () => {
    remote.reload();
    reload();
  };
  return (
    <Loaded remote={remote}>
      {(loaded) => (
        <OverrideForm
          key={JSON.stringify(loaded.override)}
          section={section}
          id={id}
          loaded={loaded}
          changed={changed}
        />
      )}
    </Loaded>
  );
}

interface OverrideFormProps {
  readonly section: Section;
  readonly id: string;
  readonly loaded: {
    readonly reader: Awaited<ReturnType<typeof contract>>["reader"];
    readonly schema: Parameters<typeof formValues>[1];
    readonly exists: boolean;
    readonly override: Values;
  };
  readonly changed: () => void;
}

/** What a draft needs to know of overrides: their section in a policy file. */
const DRAFT_SECTION: Pick<Section, "draft" | "nameField"> = {
  nameField: "policy_id",
  draft: (entry, policy) => ({
    section: "overrides",
    entry: { ...entry, policy_id: policy?.["id"] },
  }),
};

function OverrideForm({ section, id, loaded, changed }: OverrideFormProps) {
  const first = formValues(loaded.override, loaded.schema);
  const values = useSignal<Values>(first);
  const task = useTask();
  const write = () =>
    task.run(async () => {
      // The answer has the override; the names of its fields are those of the form.
      const body = values.value as { action: "block" };
      const answer = await api.send("CreateStaticPolicyOverride", { path: { id }, body });
      keepWarnings(addressOf(section, id), answer.value);
      notify(saved(answer.revision));
      changed();
    });
  const remove = () =>
    task.run(async () => {
      const answer = await api.send("DeleteStaticPolicyOverride", { path: { id } });
      keepWarnings(addressOf(section, id), answer.value);
      notify("Override removed. The product's own action is in force.");
      changed();
    });
  if (!may("CreateStaticPolicyOverride")) {
    const names = Object.keys(loaded.schema.properties ?? {});
    return loaded.exists ? (
      <section class="panel form-group">
        <h2>Override for this tenant</h2>
        <ReadOnlyFields entity={loaded.override} names={names} suggestions={{}} />
      </section>
    ) : null;
  }
  return (
    <form
      aria-label="Override"
      onSubmit={(event) => {
        event.preventDefault();
        void write();
      }}
    >
      <ContractForm
        reader={loaded.reader}
        schema={loaded.schema}
        groups={GROUPS}
        hidden={[]}
        values={values.value}
        onChange={(next) => (values.value = next)}
        error={task.error.value}
        suggestions={{}}
      />
      <div class="save-bar">
        <button
          type="submit"
          class="primary"
          disabled={task.running.value || changedNames(first, values.value).length === 0}
        >
          {loaded.exists ? "Change the override" : "Override"}
        </button>
        <DraftButton section={DRAFT_SECTION} values={values.value} entity={{ id }} />
        {loaded.exists && may("DeleteStaticPolicyOverride") && (
          <ConfirmButton
            label="Remove the override"
            question={<p>The product’s own action is in force for the next decision.</p>}
            confirm="Remove"
            run={remove}
          />
        )}
      </div>
    </form>
  );
}
