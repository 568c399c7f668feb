/** The form of one policy of the draft. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ApiError, Violation } from "../../api/errors";
import { type Entry, findEntry } from "../../draft/document";
import {
  changedSections,
  currentDraft,
  type Draft,
  removeEntry,
  replaceEntry,
} from "../../draft/draft_store";
import { withRenamed } from "../../draft/references";
import { entryName, isSingle, sectionOf } from "../../draft/sections";
import { type Contract, contract } from "../../forms/contract";
import { SchemaForm } from "../../forms/form";
import type { Schema } from "../../forms/schema";
import { unplaced } from "../../forms/violations";
import { go, href } from "../../router";
import { may } from "../../session";
import { Diff } from "../../ui/diff";
import { Empty, ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { checkEntry, problemsOf } from "./check";
import { entryOf, schemaOf, valuesOf } from "./entry_form";
import type { Problem } from "./problems";
import { productNames, suggestionsOf } from "./suggestions";

interface Props {
  readonly draft: Draft;
  readonly section: string;
  /** The name of the entry; undefined for a new one. */
  readonly name: string | undefined;
}

export function EntryEditor(props: Props) {
  const remote = useRemote("contract", contract);
  const entry = entryAtStart(props);
  if (entry === undefined) {
    return (
      <Empty title="The draft has no such policy.">
        <p>
          <a href={href(["draft", "policies", props.section])}>Show the section</a>
        </p>
      </Empty>
    );
  }
  return (
    <Loaded remote={remote}>
      {(loaded) => (
        <EntryForm
          key={`${props.section}/${props.name ?? "(new)"}`}
          {...props}
          contract={loaded}
          start={entry}
        />
      )}
    </Loaded>
  );
}

/** A section with one entry always has a form, also if nothing is set. */
function entryAtStart({ draft, section, name }: Props): Entry | undefined {
  if (name === undefined) return {};
  return findEntry(draft.edited, section, name) ?? (isSingle(section) ? {} : undefined);
}

function EntryForm(props: Props & { contract: Contract; start: Entry }) {
  const { draft, section, name, contract: loaded, start } = props;
  const [values, setValues] = useState(() => valuesOf(section, start));
  const entry = entryOf(section, values);
  const saving = useSaving(props, entry);
  const schema = useMemo(() => schemaOf(loaded, section), [loaded, section]);
  const product = useRemote("names", productNames).value.value;
  const suggestions = useMemo(() => suggestionsOf(draft.edited, product), [draft, product]);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => showProblem(form.current), [saving.violations, saving.refusal]);
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        saving.save();
      }}
    >
      <FormHead section={section} name={name} />
      <Refusal error={saving.refusal} violations={saving.violations} schema={schema} />
      <SchemaForm
        reader={loaded.reader}
        schema={schema}
        value={values}
        onChange={setValues}
        violations={saving.violations}
        suggestions={suggestions}
      />
      <FormFoot {...props} saving={saving} />
      <Compared before={findEntry(draft.base, section, name ?? "")} after={entry} />
    </form>
  );
}

interface Saving {
  readonly violations: readonly Violation[];
  /** Why the server does not accept the entry; undefined if it does, or was not asked. */
  readonly refusal: ApiError | undefined;
  readonly isRunning: boolean;
  /** Saves the entry if the server accepts it. */
  save(): void;
  /** Saves the entry although the server refuses it. */
  saveAnyway(): void;
}

function useSaving({ draft, section, name }: Props, entry: Entry): Saving {
  const [problems, setProblems] = useState(() => problemsOf(draft, section, name ?? ""));
  const [refusal, setRefusal] = useState<ApiError | undefined>(undefined);
  const task = useTask();
  const run = (isChecked: boolean) =>
    void task.run(async () => {
      const wrong = nameProblem(draft, section, name, entry);
      const opinion =
        wrong !== undefined || !isChecked
          ? undefined
          : await serverOpinion(draft, section, name, entry);
      setProblems(wrong === undefined ? (opinion?.problems ?? []) : [wrong]);
      setRefusal(opinion?.error);
      if (wrong !== undefined || opinion?.error !== undefined) return;
      if (currentDraft()?.tenant !== draft.tenant) return;
      replaceEntry(section, name ?? entryName(section, entry), entry);
      notify("Saved in the draft");
      go(isSingle(section) ? ["draft"] : ["draft", "policies", section]);
    });
  const violations = useMemo(
    () => problems.map(({ field, reason }) => ({ field, reason })),
    [problems],
  );
  return {
    violations,
    refusal,
    isRunning: task.running.value,
    save: () => run(true),
    saveAnyway: () => run(false),
  };
}

function FormFoot({ draft, section, name, saving }: Props & { saving: Saving }) {
  const isThere = name !== undefined && findEntry(draft.edited, section, name) !== undefined;
  return (
    <footer class="form-foot">
      <button type="submit" class="primary" disabled={saving.isRunning}>
        {saving.isRunning ? "Checking…" : "Save in the draft"}
      </button>
      {saving.refusal !== undefined && (
        <button type="button" onClick={saving.saveAnyway}>
          Save it as it is
        </button>
      )}
      <a
        class="button"
        href={href(isSingle(section) ? ["draft", "policies"] : ["draft", "policies", section])}
      >
        Cancel
      </a>
      {isThere && <RemoveButton section={section} name={name} />}
    </footer>
  );
}

/** What the server says, unless each violation is beside its field. */
function Refusal({
  error,
  violations,
  schema,
}: {
  error: ApiError | undefined;
  violations: readonly Violation[];
  schema: Schema;
}) {
  if (error === undefined) return null;
  const rest = unplaced(violations, Object.keys(schema.properties ?? {}));
  if (violations.length === 0 || rest.length > 0) return <ErrorBox error={error} />;
  return (
    <p class="notice error" role="alert">
      The server does not accept this. What is wrong is beside the fields.
    </p>
  );
}

/** Brings what is wrong into view: the form is long, and its button is at the end. */
function showProblem(form: HTMLFormElement | null): void {
  const problem =
    form?.querySelector<HTMLElement>(".problem") ?? form?.querySelector(".notice.error");
  problem?.scrollIntoView({ block: "center" });
  problem?.closest(".field")?.querySelector<HTMLElement>("input, select, textarea")?.focus();
}

function FormHead({ section, name }: { section: string; name: string | undefined }) {
  const { title, about } = sectionOf(section);
  return (
    <>
      <h2>{name === undefined ? `${title}: a new entry` : name === "" ? title : name}</h2>
      <p class="soft">{about}</p>
      {isSingle(section) && (
        <p>
          <a href={href(["draft", "policies", section, "json"])}>Edit as JSON</a>
        </p>
      )}
      {name !== undefined && name !== "" && (
        <p class="soft small">
          Another name makes a new policy in place of this one. What refers to it gets the new name.
        </p>
      )}
    </>
  );
}

function RemoveButton({ section, name }: { section: string; name: string }) {
  const remove = () => {
    removeEntry(section, name);
    notify("Removed in the draft");
    go(["draft"]);
  };
  return (
    <button type="button" class="danger" onClick={remove}>
      {isSingle(section) ? "Return to the defaults" : "Remove"}
    </button>
  );
}

function Compared({ before, after }: { before: Entry | undefined; after: Entry }) {
  if (before === undefined) return null;
  return (
    <section>
      <h3>Compared with the policies in force</h3>
      <Diff before={before} after={after} />
    </section>
  );
}

/** Names are unique in a section; the draft could not hold two entries of one name. */
function nameProblem(
  draft: Draft,
  section: string,
  name: string | undefined,
  entry: Entry,
): Problem | undefined {
  if (isSingle(section)) return undefined;
  const next = entryName(section, entry);
  const field = sectionOf(section).nameField;
  if (next === "") return { section, name: next, field, reason: "is required" };
  if (next === name || findEntry(draft.edited, section, next) === undefined) return undefined;
  return { section, name: next, field, reason: "is the name of another entry of the draft" };
}

/** Asks the server what it thinks of the draft with this entry, if the caller may ask that. */
async function serverOpinion(
  draft: Draft,
  section: string,
  name: string | undefined,
  entry: Entry,
) {
  if (!may("ImportPolicyFile")) return undefined;
  const own = entryName(section, entry);
  const edited = withRenamed(draft.edited, section, name ?? own, entry);
  const sections = changedSections({ ...draft, edited });
  const policies = Object.fromEntries(sections.map((key) => [key, edited[key] ?? []]));
  return checkEntry(policies, section, own);
}
