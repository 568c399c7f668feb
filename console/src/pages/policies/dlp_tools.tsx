/** Export and import of a tenant's DLP rules. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { ApiError } from "../../api/errors";
import type { AnswerOf } from "../../api/types";
import { api, may } from "../../session";
import { Dialog } from "../../ui/dialog";
import { ErrorBox } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { useTask } from "../../ui/remote";
import { download } from "./download";

export function DlpTools({ reload }: { readonly reload: () => void }) {
  const open = useSignal(false);
  const task = useTask();
  const save = () =>
    task.run(async () => {
      const file = await api.call("ExportDlpRules");
      download("dlp-rules.json", JSON.stringify(file, null, 2));
    });
  return (
    <>
      {may("ExportDlpRules") && (
        <button type="button" disabled={task.running.value} onClick={() => void save()}>
          Export
        </button>
      )}
      {may("ImportDlpRules") && (
        <button type="button" onClick={() => (open.value = true)}>
          Import
        </button>
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {open.value && <ImportDialog imported={reload} close={() => (open.value = false)} />}
    </>
  );
}

const MODES = [
  ["skip", "Keep the present rule"],
  ["overwrite", "Replace the present rule"],
  ["rename", "Import it under another name"],
] as const;

type Mode = (typeof MODES)[number][0];
type Result = AnswerOf<"ImportDlpRules">;

function ImportDialog({ imported, close }: { imported: () => void; close: () => void }) {
  const text = useSignal("");
  const mode = useSignal<Mode>("skip");
  const result = useSignal<Result | undefined>(undefined);
  const task = useTask();
  const id = useId();
  const run = () =>
    task.run(async () => {
      const body = rulesOf(text.value) as never;
      result.value = await api.call("ImportDlpRules", { body, query: { mode: mode.value } });
      imported();
    });
  return (
    <Dialog wide title="Import DLP rules" close={close}>
      <div class="text">
        <p class="soft">
          Rules are imported in one transaction. A rule that is invalid is named, and left out.
        </p>
        <div class="field">
          <label for={`${id}-file`}>File</label>
          <input
            id={`${id}-file`}
            type="file"
            accept="application/json,.json"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              if (file !== undefined) void file.text().then((content) => (text.value = content));
            }}
          />
        </div>
        <div class="field">
          <label for={`${id}-text`}>Or its content</label>
          <textarea
            id={`${id}-text`}
            rows={8}
            spellcheck={false}
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
        </div>
        <div class="field">
          <label for={`${id}-mode`}>If there is a rule with the same name</label>
          <select
            id={`${id}-mode`}
            value={mode.value}
            onChange={(event) => (mode.value = event.currentTarget.value as Mode)}
          >
            {MODES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </div>
        {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
        {result.value !== undefined && <ImportResult result={result.value} />}
      </div>
      <footer>
        <button type="button" onClick={close}>
          Close
        </button>
        <button
          type="button"
          class="primary"
          disabled={text.value.trim() === "" || task.running.value}
          onClick={() => void run()}
        >
          {task.running.value ? "Importing…" : "Import"}
        </button>
      </footer>
    </Dialog>
  );
}

/** Returns the rules of an export, or of a list. Throws if the text is neither. */
export function rulesOf(text: string): readonly unknown[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ApiError(0, "NOT_JSON", `The file is not JSON: ${reason}`);
  }
  const rules = (content as { rules?: unknown } | null)?.rules ?? content;
  if (Array.isArray(rules)) return rules;
  throw new ApiError(
    0,
    "NOT_RULES",
    "The file has no list of rules. Use a file that Export has written.",
  );
}

function ImportResult({ result }: { result: Result }) {
  const { created, overwritten, skipped, errors } = result;
  return (
    <div class={errors.length > 0 ? "notice caution" : "notice"} role="status">
      <p>
        {integer(created)} created, {integer(overwritten)} replaced, {integer(skipped)} kept as they
        were, {integer(errors.length)} invalid.
      </p>
      {errors.length > 0 && (
        <ul>
          {errors.map(({ detector_name: name, error }) => (
            <li key={name}>
              <strong>{name}</strong>: {error}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
