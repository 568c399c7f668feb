/** Asks before a model is switched off or on: what it means, and why it is done. */
import { useId, useState } from "preact/hooks";
import { may } from "../../session";
import { Dialog } from "../../ui/dialog";
import { ErrorBox } from "../../ui/feedback";
import { words } from "../../ui/format";
import { useTask } from "../../ui/remote";
import { labelOf, type Reason, REASONS, type Target } from "./models";
import { addToCatalog, carryOut, type Effect, entryOf } from "./switching";

/** How many names are listed; the rest is counted. */
const LISTED = 12;

export function SwitchDialog(props: {
  target: Target;
  close: () => void;
  done: (effect: Effect) => void;
}) {
  const { target, close, done } = props;
  const off = !target.off;
  // The contract takes no reason for switching a provider on.
  const asksWhy = off || target.model !== "";
  const [reason, setReason] = useState<Reason | "">("");
  const [note, setNote] = useState("");
  const task = useTask();
  const verb = off ? "Switch off" : "Switch on";
  const title = `${verb} ${labelOf(target)}`;
  const run = (add: boolean) =>
    task.run(async () => {
      if (add) await addToCatalog(target);
      done(await carryOut({ target, off, reason, note: note.trim() }));
    });
  const error = task.error.value;
  const addable =
    error?.code === "MODEL_NOT_FOUND" && entryOf(target) !== undefined && may("CreateModelConfig");
  return (
    <Dialog title={title} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run(false);
        }}
      >
        <div class="text">
          <Meaning target={target} />
          {asksWhy && <Why reason={reason} setReason={setReason} off={off} />}
          {target.model !== "" && <Note note={note} setNote={setNote} />}
          {error !== undefined && <ErrorBox error={error} />}
          {addable && (
            <p>
              A model outside of the catalog has no switch.{" "}
              <button type="button" onClick={() => void run(true)}>
                Add {labelOf(target)} to the catalog, and switch it off
              </button>
            </p>
          )}
        </div>
        <footer>
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button
            type="submit"
            class={off ? "danger primary" : "primary"}
            disabled={(asksWhy && reason === "") || task.running.value}
          >
            {task.running.value ? "Switching…" : verb}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function Meaning({ target }: { target: Target }) {
  const { names, off, provider, model } = target;
  const effect = off ? "pass this switch again" : "are blocked at once";
  return (
    <>
      <p>
        {model === "" ? (
          <>
            All requests for <strong>{provider}</strong> {effect}, of all tenants
            {off ? "." : ", also for models of it that are not in the catalog."}
          </>
        ) : (
          <>
            All requests for <strong>{labelOf(target)}</strong> {effect}, of all tenants.
          </>
        )}
      </p>
      {names.length > 0 && (
        <p class="soft small">
          {model === "" ? "Its models: " : "Also by its other names: "}
          {names.slice(0, LISTED).join(", ")}
          {names.length > LISTED && `, and ${names.length - LISTED} more`}
        </p>
      )}
    </>
  );
}

function Why(props: { reason: string; setReason: (reason: Reason | "") => void; off: boolean }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>
        Reason<span class="required"> required</span>
      </label>
      <select
        id={id}
        required
        value={props.reason}
        onChange={(event) => props.setReason(event.currentTarget.value as Reason | "")}
      >
        <option value="">Choose…</option>
        {REASONS.map((reason) => (
          <option key={reason} value={reason}>
            {words(reason)}
          </option>
        ))}
      </select>
      {!props.off && <p class="help">Why it was off, or is on again.</p>}
    </div>
  );
}

function Note({ note, setNote }: { note: string; setNote: (note: string) => void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Note</label>
      <input
        id={id}
        type="text"
        autocomplete="off"
        maxLength={1024}
        value={note}
        onInput={(event) => setNote(event.currentTarget.value)}
      />
      <p class="help">For the change log, such as the number of a ticket.</p>
    </div>
  );
}
