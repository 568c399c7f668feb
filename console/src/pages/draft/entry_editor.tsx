/** The form of one policy of the draft. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api/errors";
import { type Contract, contract } from "../../forms/contract";
import { SchemaForm } from "../../forms/form";
import { go, href } from "../../router";
import { may } from "../../session";
import { Diff } from "../../ui/diff";
import { Empty, ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { checkEntry, problemsOf } from "./check";
import { type Entry, findEntry } from "./document";
import { changedSections, type Draft, removeEntry, replaceEntry } from "./draft_store";
import { entryOf, schemaOf, valuesOf } from "./entry_form";
import { type Problem, violationsOf } from "./problems";
import { withRenamed } from "./references";
import { entryName, isSingle, sectionOf } from "./sections";
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

function EntryForm({
  draft,
  section,
  name,
  contract: loaded,
  start,
}: Props & { contract: Contract; start: Entry }) {
  const [values, setValues] = useState(() => valuesOf(section, start));
  const [problems, setProblems] = useState(() => problemsOf(draft, section, name ?? ""));
  const [refusal, setRefusal] = useState<ApiError | undefined>(undefined);
  const task = useTask();
  const schema = useMemo(() => schemaOf(loaded, section), [loaded, section]);
  const product = useRemote("names", productNames);
  const suggestions = useMemo(
    () => suggestionsOf(draft.edited, product.value.value),
    [draft, product.value.value],
  );
  const entry = entryOf(section, values);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => showProblem(form.current), [problems, refusal]);
  const save = (anyway: boolean) =>
    task.run(async () => {
      const wrong = nameProblem(draft, section, name, entry);
      setProblems(wrong === undefined ? [] : [wrong]);
      if (wrong !== undefined) return;
      const found = anyway ? undefined : await serverOpinion(draft, section, name, entry);
      setProblems(found?.problems ?? []);
      setRefusal(found?.error);
      if (found?.error !== undefined) return;
      replaceEntry(section, name ?? entryName(section, entry), entry);
      notify("Saved in the draft");
      go(isSingle(section) ? ["draft"] : ["draft", "policies", section]);
    });
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void save(false);
      }}
    >
      <FormHead section={section} name={name} />
      {refusal !== undefined && <ErrorBox error={refusal} />}
      <SchemaForm
        reader={loaded.reader}
        schema={schema}
        value={values}
        onChange={setValues}
        violations={violationsOf(problems, section, entryName(section, entry))}
        suggestions={suggestions}
      />
      <footer class="form-foot">
        <button type="submit" class="primary" disabled={task.running.value}>
          {task.running.value ? "Checking…" : "Save in the draft"}
        </button>
        {refusal !== undefined && (
          <button type="button" onClick={() => void save(true)}>
            Save it as it is
          </button>
        )}
        <a
          class="button"
          href={href(isSingle(section) ? ["draft", "policies"] : ["draft", "policies", section])}
        >
          Cancel
        </a>
        {name !== undefined && findEntry(draft.edited, section, name) !== undefined && (
          <RemoveButton section={section} name={name} />
        )}
      </footer>
      <Compared before={findEntry(draft.base, section, name ?? "")} after={entry} />
    </form>
  );
}

/** Brings what is wrong into view: the form is long, and its button is at the end. */
function showProblem(form: HTMLFormElement | null): void {
  const problem = form?.querySelector<HTMLElement>(".problem, .notice.error");
  problem?.scrollIntoView({ block: "center" });
  problem?.closest(".field")?.querySelector<HTMLElement>("input, select, textarea")?.focus();
}

function FormHead({ section, name }: { section: string; name: string | undefined }) {
  const { title, about } = sectionOf(section);
  return (
    <>
      <h2>{name === undefined ? `${title}: a new entry` : name === "" ? title : name}</h2>
      <p class="soft">{about}</p>
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
