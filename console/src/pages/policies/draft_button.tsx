/** Puts what is typed in the draft, instead of saving it at once. */
import { useSignal } from "@preact/signals";
import { currentDraft, putEntry, replaceEntry, startDraft } from "../../draft/draft_store";
import type { Suggestions, Values } from "../../forms/fields";
import { href } from "../../router";
import { may } from "../../session";
import { ErrorBox } from "../../ui/feedback";
import { useTask } from "../../ui/remote";
import { withNames } from "./draft_names";
import { withIds } from "./references";
import type { Entity, Section } from "./types";

export interface DraftButtonProps {
  readonly section: Pick<Section, "draft" | "single" | "nameField">;
  readonly values: Values;
  readonly entity: Entity | undefined;
  readonly suggestions?: Suggestions;
}

export function DraftButton({ section, values, entity, suggestions = {} }: DraftButtonProps) {
  const task = useTask();
  const added = useSignal<Values | undefined>(undefined);
  const target = section.draft?.(values, entity);
  if (target === undefined || !may("ExportPolicyFile") || !may("ImportPolicyFile")) return null;
  const add = () =>
    task.run(async () => {
      const entry = await withNames(withIds(target.entry, suggestions), target.references ?? {});
      if (currentDraft() === undefined) await startDraft();
      const before = entity?.[section.nameField];
      const renamed = typeof before === "string" && before !== entry[section.nameField];
      if (renamed && target.renames === true) replaceEntry(target.section, before, entry);
      else putEntry(target.section, entry);
      added.value = values;
    });
  return (
    <>
      <button type="button" disabled={task.running.value} onClick={() => void add()}>
        Add to draft
      </button>
      {added.value === values && (
        <span role="status">
          In the draft. <a href={href(["draft"])}>Open the draft</a>
        </span>
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
