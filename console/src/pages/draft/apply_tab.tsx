/** "Apply": all changes of the draft in one transaction. */
import { useId, useState } from "preact/hooks";
import { changedSections, type Draft, nameDraft } from "../../draft/draft_store";
import { sectionOf } from "../../draft/sections";
import { go } from "../../router";
import { may } from "../../session";
import { Empty, ErrorBox, notify } from "../../ui/feedback";
import { useTask } from "../../ui/remote";
import { applyDraft } from "./applied";
import { checkDraft, checkOf, lastCheck } from "./check";
import { DraftCheck } from "./check_tab";

const MAX_SUMMARY = 1024;

export function ApplyTab({ draft }: { draft: Draft }) {
  const sections = changedSections(draft);
  if (sections.length === 0) return <Empty title="The draft changes nothing yet." />;
  if (!may("ImportPolicyFile")) {
    return (
      <Empty title="Your role does not include applying a draft.">
        <p class="soft">An editor can apply it. Copy the draft as a policy file for them.</p>
      </Empty>
    );
  }
  return <ApplyForm draft={draft} sections={sections} />;
}

function ApplyForm({ draft, sections }: { draft: Draft; sections: readonly string[] }) {
  const id = useId();
  const [summary, setSummary] = useState(draft.name);
  const task = useTask();
  const apply = () =>
    task.run(async () => {
      try {
        const { revision } = await applyDraft(draft, summary.trim());
        notify(`Applied: revision ${revision} is in force`);
        go(["draft"]);
      } catch (cause) {
        // The check says where the faults are, and leads to their forms.
        lastCheck.value = await checkDraft(draft).catch(() => undefined);
        throw cause;
      }
    });
  const error = task.error.value;
  const refusal = checkOf(draft)?.error;
  // A server that could not be asked may be back.
  const isRefused = refusal !== undefined && !refusal.unavailable;
  const refused = sections.map(sectionOf).filter(({ adminOnly, operation }) => {
    return adminOnly === true && operation !== undefined && !may(operation);
  });
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void apply();
        }}
      >
        <div class="field">
          <label for={id}>
            Summary<span class="required"> required</span>
          </label>
          <input
            id={id}
            type="text"
            required
            autocomplete="off"
            maxLength={MAX_SUMMARY}
            value={summary}
            onInput={(event) => setSummary(event.currentTarget.value)}
            onChange={() => nameDraft(summary)}
          />
          <p class="help">What the change is for. The change log has it.</p>
        </div>
        {refused.length > 0 && (
          <p class="notice caution">
            Only an admin may change {refused.map(({ title }) => title.toLowerCase()).join(" and ")}
            . Copy the draft as a policy file for one, or undo these changes.
          </p>
        )}
        {error !== undefined && refusal === undefined && <ErrorBox error={error} />}
        <footer class="form-foot">
          <button
            type="submit"
            class="primary"
            disabled={task.running.value || summary.trim() === "" || isRefused}
          >
            {task.running.value ? "Applying…" : "Apply all changes"}
          </button>
          <span class="soft small">
            All changes are in force at once, or none is. You can roll back afterwards.
          </span>
        </footer>
      </form>
      <DraftCheck draft={draft} />
    </>
  );
}
