/** One model of the catalog: its names and its tier. */
import { useSignal } from "@preact/signals";
import { ApiError } from "../../api/errors";
import type { BodyOf } from "../../api/types";
import { ConflictDialog } from "../../forms/conflict_dialog";
import { type Contract, contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { changedNames, formValues, updateBody } from "../../forms/values";
import { go, href } from "../../router";
import { api, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { time, words } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { type Model, StateBadge } from "./models";
import { OperationForm } from "./operation_form";

/** What cannot be changed. */
const FIXED = ["provider", "model_id"];

interface Loading {
  readonly model: Model;
  readonly etag: string;
  readonly contract: Contract;
}

async function read(id: string, signal?: AbortSignal): Promise<Loading> {
  const [{ value, etag }, loaded] = await Promise.all([
    api.send("GetModelConfig", { path: { model_config_id: id }, signal }),
    contract(),
  ]);
  return { model: value, etag, contract: loaded };
}

export function ModelPage({ id }: { id: string }) {
  const remote = useRemote(id, (signal) => read(id, signal));
  return (
    <>
      <p class="back">
        <a href={href(["operate", "models"])}>All models</a>
      </p>
      <Loaded remote={remote}>
        {(loaded) => (
          <>
            <Head model={loaded.model} />
            {may("UpdateModelConfig") && (
              <ModelForm key={loaded.etag} loaded={loaded} reload={() => remote.reload()} />
            )}
          </>
        )}
      </Loaded>
    </>
  );
}

function Head({ model }: { model: Model }) {
  return (
    <>
      <div class="page-head">
        <h2>
          {model.provider}/{model.model_id}
        </h2>
        <StateBadge model={model} />
      </div>
      <dl class="facts panel">
        <dt>Name</dt>
        <dd>{model.display_name}</dd>
        <dt>Tier</dt>
        <dd>{words(model.tier ?? "") || "None"}</dd>
        <dt>Other names</dt>
        <dd>{(model.aliases ?? []).join(", ") || "None"}</dd>
        <dt>Source</dt>
        <dd>{model.source === "custom" ? "Added by an admin" : "Comes with the product"}</dd>
        <dt>Changed</dt>
        <dd>{time(model.updated_at)}</dd>
        {model.kill_switch_active && (
          <>
            <dt>Off since</dt>
            <dd>
              {time(model.kill_switch_disabled_at)}: {words(model.disabled_reason ?? "")};{" "}
              <a href={href(["kill-switch"])}>kill switch</a>
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

function ModelForm({ loaded, reload }: { loaded: Loading; reload: () => void }) {
  const { model, etag } = loaded;
  const { reader, bodyOf } = loaded.contract;
  const schema = reader.resolve(bodyOf("UpdateModelConfig"));
  const before = formValues(model as unknown as Values, schema, FIXED);
  const values = useSignal<Values>(before);
  const theirs = useSignal<Loading | undefined>(undefined);
  const task = useTask();

  const write = (from: Values, to: Values, ifMatch: string) =>
    task.run(async () => {
      const body = updateBody({}, schema, reader, from, to) as BodyOf<"UpdateModelConfig">;
      const path = { model_config_id: model.id };
      try {
        const { revision } = await api.send("UpdateModelConfig", { path, body, ifMatch });
        notify(`Saved, in force from revision ${revision ?? "–"}`);
      } catch (cause) {
        if (!(cause instanceof ApiError) || cause.status !== 412) throw cause;
        theirs.value = await read(model.id);
        return;
      }
      theirs.value = undefined;
      reload();
    });

  return (
    <form
      class="panel model-form"
      aria-label="Change this model"
      onSubmit={(event) => {
        event.preventDefault();
        void write(before, values.value, etag);
      }}
    >
      <OperationForm
        operation="UpdateModelConfig"
        hidden={FIXED}
        value={values.value}
        onChange={(next) => (values.value = next)}
        error={task.error.value}
      />
      <div class="row-buttons">
        <button
          type="submit"
          class="primary"
          disabled={task.running.value || changedNames(before, values.value).length === 0}
        >
          {task.running.value ? "Saving…" : "Save"}
        </button>
        {may("DeleteModelConfig") && <Delete model={model} etag={etag} />}
      </div>
      {theirs.value !== undefined && (
        <ConflictDialog
          base={before}
          mine={values.value}
          theirs={formValues(theirs.value.model as unknown as Values, schema, FIXED)}
          running={task.running.value}
          takeTheirs={() => {
            theirs.value = undefined;
            reload();
          }}
          writeMine={(from, to) => void write(from, to, theirs.value?.etag ?? "")}
          close={() => (theirs.value = undefined)}
        />
      )}
    </form>
  );
}

function Delete({ model, etag }: { model: Model; etag: string }) {
  const task = useTask();
  const remove = () =>
    task.run(async () => {
      const path = { model_config_id: model.id };
      await api.call("DeleteModelConfig", { path, ifMatch: etag });
      notify(`Deleted: ${model.provider}/${model.model_id}`);
      go(["operate", "models"], {}, true);
    });
  return (
    <>
      <ConfirmButton
        label="Delete…"
        confirm="Delete the model"
        question="Requests for a model that is not in the catalog pass. To stop them, use the kill switch."
        run={() => void remove()}
        disabled={task.running.value}
      />
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
