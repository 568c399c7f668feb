/** Puts older values in force again, after showing what that changes. */
import type { Contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { changedNames, isEmpty, updateBody } from "../../forms/values";
import { Dialog } from "../../ui/dialog";
import { Diff } from "../../ui/diff";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { saved } from "./entity_form";
import { formPlan, readEntity, writeEntity } from "./entity_store";
import type { Section } from "./types";

export interface RestoreDialogProps {
  readonly section: Section;
  readonly id: string;
  readonly title: string;
  readonly restored: Values;
  readonly load: () => Promise<Contract>;
  readonly done: () => void;
  readonly close: () => void;
}

/** Returns the values of a form with older ones in their place. Fields that it does not have stay. */
export function restoredValues(current: Values, older: Values, names: readonly string[]): Values {
  const result: Record<string, unknown> = { ...current };
  for (const name of names) {
    if (!(name in older)) continue;
    if (isEmpty(older[name])) delete result[name];
    else result[name] = older[name];
  }
  return result;
}

export function RestoreDialog(props: RestoreDialogProps) {
  const { section, id } = props;
  const task = useTask();
  const remote = useRemote(`restore ${section.path} ${id}`, async (signal) => {
    const [loaded, contract] = await Promise.all([readEntity(section, id, signal), props.load()]);
    const plan = formPlan(section, contract, loaded.entity);
    const names = Object.keys(plan.schema.properties ?? {}).filter(
      (name) => !plan.hidden.includes(name),
    );
    const target = restoredValues(plan.values, props.restored, names);
    const body = updateBody(section, plan.schema, contract.reader, plan.values, target);
    return { etag: loaded.etag, before: plan.values, target, body };
  });
  const loaded = remote.value.value;
  const same = loaded === undefined || changedNames(loaded.before, loaded.target).length === 0;
  const restore = async () => {
    if (loaded === undefined) return;
    const done = await task.run(async () => {
      const { revision } = await writeEntity(section, id, loaded.body, loaded.etag);
      notify(saved(revision));
    });
    if (done) props.done();
    else remote.reload();
  };
  return (
    <Dialog wide title={`Restore ${props.title}`} close={props.close}>
      <div class="text">
        {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
        <Loaded remote={remote}>
          {({ before, target }) =>
            changedNames(before, target).length === 0 ? (
              <p>These values are in force now. There is nothing to restore.</p>
            ) : (
              <>
                <p>This changes what is in force now:</p>
                <Diff before={before} after={target} />
              </>
            )
          }
        </Loaded>
      </div>
      <footer>
        <button type="button" onClick={props.close}>
          Keep
        </button>
        <button
          type="button"
          class="primary"
          disabled={same || task.running.value}
          onClick={() => void restore()}
        >
          Restore
        </button>
      </footer>
    </Dialog>
  );
}
