/** The catalog of models: which models there are, and by which names. */
import { type Signal, useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { AnswerOf, BodyOf } from "../../api/types";
import type { Values } from "../../forms/fields";
import { go, href } from "../../router";
import { api, may } from "../../session";
import { Dialog } from "../../ui/dialog";
import { Empty, Loaded, notify } from "../../ui/feedback";
import { words } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { type Column, Table } from "../../ui/table";
import { FilterField, wordMatcher } from "../../ui/text_filter";
import { OperationForm } from "./operation_form";

export type Model = AnswerOf<"GetModelConfig">;

export function Models() {
  const remote = useRemote("models", (signal) => api.call("ListModelConfigs", { signal }));
  const text = useSignal("");
  const creating = useSignal(false);
  return (
    <>
      <div class="toolbar">
        <FilterField value={text.value} onChange={(next) => (text.value = next)} />
        {may("CreateModelConfig") && (
          <button type="button" class="primary end" onClick={() => (creating.value = true)}>
            New model
          </button>
        )}
      </div>
      <NewModel open={creating} />
      <Loaded remote={remote}>
        {(models) => <ModelTable models={models} filter={text.value} />}
      </Loaded>
    </>
  );
}

function ModelTable({ models, filter }: { models: readonly Model[]; filter: string }) {
  const shown = useMemo(() => {
    const matches = wordMatcher(filter);
    return models.filter((model) => {
      const names = [model.provider, model.model_id, model.display_name, model.tier ?? ""];
      return matches([...names, ...(model.aliases ?? [])].join("\n").toLowerCase());
    });
  }, [models, filter]);
  if (models.length === 0) return <Empty title="The catalog has no models.">Add one.</Empty>;
  if (shown.length === 0) return <Empty title={`No model matches “${filter}”.`} />;
  return (
    <Table
      label="Models"
      columns={COLUMNS}
      rows={shown}
      keyOf={({ id }) => id}
      hrefOf={({ id }) => href(["operate", "models", id])}
    />
  );
}

const COLUMNS: readonly Column<Model>[] = [
  { name: "Name", width: "minmax(0, 1.3fr)", cell: ({ display_name }) => display_name },
  { name: "Provider", width: "minmax(0, 0.8fr)", cell: ({ provider }) => provider },
  {
    name: "Model",
    width: "minmax(0, 1.3fr)",
    cell: ({ model_id }) => <code>{model_id}</code>,
    wide: true,
  },
  { name: "Tier", width: "6rem", cell: ({ tier }) => words(tier ?? "") || "–", wide: true },
  { name: "Source", width: "6rem", cell: ({ source }) => words(source), wide: true },
  { name: "State", width: "6.5rem", cell: (model) => <StateBadge model={model} /> },
];

export function StateBadge({ model }: { model: Model }) {
  if (model.kill_switch_active) return <span class="badge bad">Off</span>;
  return model.is_active ? (
    <span class="badge good">Offered</span>
  ) : (
    <span class="badge quiet">Not offered</span>
  );
}

function NewModel({ open }: { open: Signal<boolean> }) {
  const value = useSignal<Values>({});
  const task = useTask();
  const create = (event: SubmitEvent) => {
    event.preventDefault();
    void task.run(async () => {
      const body = value.value as BodyOf<"CreateModelConfig">;
      const model = await api.call("CreateModelConfig", { body });
      notify(`Added: ${model.provider}/${model.model_id}`);
      go(["operate", "models", model.id]);
    });
  };
  if (!open.value) return null;
  return (
    <Dialog title="New model" close={() => (open.value = false)}>
      <form onSubmit={create}>
        <div class="text">
          <OperationForm
            operation="CreateModelConfig"
            value={value.value}
            onChange={(next) => (value.value = next)}
            error={task.error.value}
          />
        </div>
        <footer>
          <button type="button" onClick={() => (open.value = false)}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={task.running.value}>
            Add the model
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
