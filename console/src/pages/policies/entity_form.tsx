/** The form of one entity: edits, saving, and the conflict if another user has saved meanwhile. */
import { useSignal } from "@preact/signals";
import { ApiError } from "../../api/errors";
import { ConflictDialog } from "../../forms/conflict_dialog";
import type { Contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { changedNames, updateBody } from "../../forms/values";
import { notify } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { useTask } from "../../ui/remote";
import { DraftButton } from "./draft_button";
import { formPlan, mayEdit, readEntity, writeEntity } from "./entity_store";
import { ReadOnlyFields } from "./facts";
import { useNames, withIds } from "./references";
import { SectionForm } from "./section_form";
import type { Loaded, Section } from "./types";
import { useUnsavedWarning } from "./unsaved";

export interface EntityFormProps {
  readonly section: Section;
  readonly id: string;
  readonly loaded: Loaded;
  readonly contract: Contract;
  readonly onWritten: () => void;
}

export function EntityForm({ section, id, loaded, contract, onWritten }: EntityFormProps) {
  const { reader } = contract;
  const plan = formPlan(section, contract, loaded.entity);
  const values = useSignal<Values>(plan.values);
  const theirs = useSignal<Loaded | undefined>(undefined);
  const task = useTask();
  const names = useNames(section.references ?? {});
  const lock = section.lock?.(loaded.entity);
  const changed = changedNames(plan.values, values.value);
  useUnsavedWarning(changed.length > 0);

  const write = (before: Values, after: Values, etag: string) =>
    task.run(async () => {
      const written = withIds(after, names.suggestions);
      const body = updateBody(section, plan.schema, reader, before, written);
      try {
        const { revision } = await writeEntity(section, id, body, etag);
        notify(saved(revision));
      } catch (cause) {
        if (!(cause instanceof ApiError) || cause.status !== 412) throw cause;
        theirs.value = await readEntity(section, id);
        return;
      }
      theirs.value = undefined;
      onWritten();
    });

  const all = Object.keys(plan.schema.properties ?? {});
  const editable = mayEdit(section, loaded.entity);
  const locked =
    editable && lock === undefined
      ? []
      : all.filter((name) => !editable || plan.hidden.includes(name));
  return (
    <>
      {lock !== undefined && <p class="notice">{lock.reason}</p>}
      {lock === undefined && !editable && (
        <p class="notice">Your role may read this {section.one}, and not change it.</p>
      )}
      {names.problem !== "" && <p class="soft small">{names.problem}</p>}
      {locked.length > 0 && (
        <section class="panel form-group" aria-label="What it says">
          <ReadOnlyFields entity={loaded.entity} names={locked} suggestions={names.suggestions} />
        </section>
      )}
      {editable && (
        <SectionForm
          label={`Edit this ${section.one}`}
          section={section}
          reader={reader}
          plan={plan}
          values={values}
          names={names}
          error={task.error.value}
          facts={lock === undefined ? {} : loaded.entity}
          submit={() => void write(plan.values, values.value, loaded.etag)}
        >
          {(replace) => (
            <>
              <button
                type="submit"
                class="primary"
                disabled={changed.length === 0 || task.running.value}
              >
                {task.running.value ? "Saving…" : "Save"}
              </button>
              <DraftButton
                section={section}
                values={values.value}
                entity={loaded.entity}
                suggestions={names.suggestions}
              />
              {changed.length > 0 && (
                <button
                  type="button"
                  onClick={() => {
                    task.error.value = undefined;
                    replace(plan.values);
                  }}
                >
                  Undo changes
                </button>
              )}
              <span class="soft small" role="status">
                {changesInWords(changed)}
              </span>
            </>
          )}
        </SectionForm>
      )}
      {theirs.value !== undefined && (
        <ConflictDialog
          base={plan.values}
          mine={values.value}
          theirs={formPlan(section, contract, theirs.value.entity).values}
          running={task.running.value}
          takeTheirs={() => {
            theirs.value = undefined;
            onWritten();
          }}
          writeMine={(before, after) => void write(before, after, theirs.value?.etag ?? "")}
          close={() => (theirs.value = undefined)}
        />
      )}
    </>
  );
}

function changesInWords(changed: readonly string[]): string {
  if (changed.length === 0) return "No changes.";
  return `Changed: ${changed.map((name) => words(name).toLowerCase()).join(", ")}.`;
}

/** What is said after a write. */
export function saved(revision: number | undefined): string {
  return revision === undefined
    ? "Saved."
    : `Saved. It is in force from revision ${integer(revision)}.`;
}
