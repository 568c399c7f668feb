/** All policies of the draft: the sections, and the entries of one. */
import { useMemo, useState } from "preact/hooks";
import { type Change, changesOf, entriesOf, type Entry } from "../../draft/document";
import { type Draft, removeEntry, undoEntry } from "../../draft/draft_store";
import { entryName, isSingle, sectionOf, SECTIONS } from "../../draft/sections";
import { href } from "../../router";
import { Empty, notify } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { Table } from "../../ui/table";
import { FilterField, wordMatcher } from "../../ui/text_filter";
import { ChangeBadge, entryAddress } from "./change_view";
import { summaryOf } from "./entry_form";

/** The sections, with how many policies they have and how many the draft changes. */
export function SectionList({ draft }: { draft: Draft }) {
  const rows = useMemo(
    () =>
      SECTIONS.map((section) => ({
        section,
        entries: entriesOf(draft.edited, section.key).length,
        changes: changesOf(draft.base, draft.edited, section.key).length,
      })).filter(({ section, entries, changes }) => !section.shortForm || entries + changes > 0),
    [draft],
  );
  return (
    <Table
      label="Sections"
      rows={rows}
      visible={20}
      keyOf={({ section }) => section.key}
      hrefOf={({ section }) => href(["draft", "policies", section.key])}
      columns={[
        { name: "Section", width: "minmax(9rem, 14rem)", cell: ({ section }) => section.title },
        {
          name: "What it has",
          width: "minmax(0, 1fr)",
          wide: true,
          cell: ({ section }) => <span class="soft">{section.about}</span>,
        },
        {
          name: "Policies",
          width: "5rem",
          numeric: true,
          cell: ({ section, entries }) =>
            isSingle(section.key) ? (entries === 0 ? "default" : "set") : integer(entries),
        },
        {
          name: "Changes",
          width: "5rem",
          numeric: true,
          cell: ({ changes }) =>
            changes === 0 ? (
              <span class="soft">–</span>
            ) : (
              <span class="badge caution">{integer(changes)}</span>
            ),
        },
      ]}
    />
  );
}

interface Row {
  readonly name: string;
  readonly summary: string;
  readonly change: Change | undefined;
}

/** The entries of a section, also those that the draft removes. */
export function EntryList({ draft, section }: { draft: Draft; section: string }) {
  const [filter, setFilter] = useState("");
  const rows = useMemo(() => rowsOf(draft, section), [draft, section]);
  const found = useMemo(() => {
    const matches = wordMatcher(filter);
    return rows.filter(({ name, summary }) => matches(`${name} ${summary}`.toLowerCase()));
  }, [rows, filter]);
  const { title, about } = sectionOf(section);
  return (
    <>
      <div class="page-head">
        <div>
          <h2>{title}</h2>
          <p class="soft">{about}</p>
        </div>
        <div class="row-buttons">
          <a class="button" href={href(["draft", "policies", section, "json"])}>
            Edit as JSON
          </a>
          <a class="button" href={href(["draft", "policies", section, "new"])}>
            Add
          </a>
        </div>
      </div>
      {rows.length === 0 ? (
        <Empty title="The section is empty.">
          <p class="soft">Add a policy, or leave it as it is.</p>
        </Empty>
      ) : (
        <>
          <div class="toolbar">
            <FilterField value={filter} onChange={setFilter} />
            <p class="soft small" role="status">
              {integer(found.length)} of {integer(rows.length)}
            </p>
          </div>
          <EntryTable section={section} rows={found} />
        </>
      )}
    </>
  );
}

function EntryTable({ section, rows }: { section: string; rows: readonly Row[] }) {
  return (
    <Table
      label={sectionOf(section).title}
      rows={rows}
      keyOf={({ name }) => name}
      columns={[
        {
          name: "Name",
          width: "minmax(7rem, 18rem)",
          cell: ({ name, change }) =>
            change === "removed" ? <s>{name}</s> : <a href={entryAddress(section, name)}>{name}</a>,
        },
        {
          name: "What it says",
          width: "minmax(0, 1fr)",
          wide: true,
          cell: ({ summary }) => <span class="soft">{summary}</span>,
        },
        {
          name: "Change",
          width: "5.5rem",
          cell: ({ change }) => change !== undefined && <ChangeBadge change={change} />,
        },
        {
          name: "",
          width: "5.5rem",
          cell: ({ name, change }) => <RowButton section={section} name={name} change={change} />,
        },
      ]}
    />
  );
}

function RowButton({
  section,
  name,
  change,
}: {
  section: string;
  name: string;
  change: Change | undefined;
}) {
  if (change === undefined) {
    const remove = () => {
      removeEntry(section, name);
      notify(`Removed in the draft: ${name}`);
    };
    return (
      <button type="button" class="small" aria-label={`Remove ${name}`} onClick={remove}>
        Remove
      </button>
    );
  }
  return (
    <button
      type="button"
      class="small"
      aria-label={`Undo the change of ${name}`}
      onClick={() => undoEntry(section, name)}
    >
      Undo
    </button>
  );
}

function rowsOf(draft: Draft, section: string): Row[] {
  const changes = changesOf(draft.base, draft.edited, section);
  const kinds = new Map(changes.map(({ name, change }) => [name, change]));
  const row = (entry: Entry): Row => {
    const name = entryName(section, entry);
    return { name, summary: summaryOf(section, entry), change: kinds.get(name) };
  };
  const removed = changes.flatMap(({ before, after }) =>
    after === undefined && before !== undefined ? [before] : [],
  );
  return [...entriesOf(draft.edited, section), ...removed].map(row);
}
