/** Returning to an earlier revision: what that changes, before it happens. */
import { useEffect, useState } from "preact/hooks";
import { Dialog } from "../../ui/dialog";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { type Preview, previewRollback, rollBack } from "./applied";
import { ServerChanges } from "./change_view";

interface Props {
  readonly revision: number;
  /** The last revision that the user knows; undefined if they ask for any. */
  readonly known?: number | undefined;
  /** Is called after the rollback. */
  readonly done?: (() => void) | undefined;
}

export function RollbackButton(props: Props & { label?: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="danger" onClick={() => setOpen(true)}>
        {props.label ?? "Roll back"}
      </button>
      {isOpen && <RollbackDialog {...props} close={() => setOpen(false)} />}
    </>
  );
}

function RollbackDialog({ revision, known, done, close }: Props & { close: () => void }) {
  const preview = useRemote(`${revision}`, () => previewRollback(revision, known));
  const task = useTask();
  const run = async (base: number) => {
    const isDone = await task.run(async () => {
      const change = await rollBack(revision, base);
      notify(`Rolled back: revision ${change.revision} is in force`);
    });
    if (!isDone) return;
    close();
    done?.();
  };
  const refused = task.error.value;
  useEffect(() => {
    // Another user was faster: the rollback would do something else than what was shown.
    if (refused?.status === 412) preview.reload();
  }, [refused]);
  return (
    <Dialog title={`Return to revision ${revision}`} close={close} wide>
      <div class="text">
        {refused !== undefined && <ErrorBox error={refused} />}
        <Loaded remote={preview}>{(value) => <Consequences preview={value} />}</Loaded>
      </div>
      <footer>
        <button type="button" onClick={close}>
          Cancel
        </button>
        <button
          type="button"
          class="danger primary"
          disabled={task.running.value || (preview.value.value?.changes.length ?? 0) === 0}
          onClick={() => void run(preview.value.value?.revision ?? 0)}
        >
          {task.running.value ? "Rolling back…" : "Roll back"}
        </button>
      </footer>
    </Dialog>
  );
}

function Consequences({ preview }: { preview: Preview }) {
  return (
    <>
      {preview.isForeign && (
        <p class="notice caution" role="alert">
          Others have changed policies since. Rolling back undoes their changes too.
        </p>
      )}
      <p>This makes the following changes, as a new revision:</p>
      <ServerChanges changes={preview.changes} />
    </>
  );
}
