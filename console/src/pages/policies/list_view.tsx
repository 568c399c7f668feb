/** The list of a section: filter, facets, counts, and a table of any length. */
import { computed, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { go, href, location } from "../../router";
import { may } from "../../session";
import { Empty, Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { useRemote } from "../../ui/remote";
import { Table } from "../../ui/table";
import { FilterField } from "../../ui/text_filter";
import { cell } from "./facts";
import { type Facets, facetValues, filtered, haystacks } from "./filter";
import type { ColumnSpec, Entity, Section } from "./types";

const ROOT = "policies";

export function ListView({ section }: { section: Section }) {
  const remote = useRemote<readonly Entity[]>(
    `list ${section.path}`,
    (signal, show) => section.list?.(signal, show) ?? none(),
  );
  const { create } = section.operations;
  const Tools = section.tools;
  return (
    <>
      <div class="page-head">
        <h1>{section.title}</h1>
        <div class="row-buttons">
          {Tools !== undefined && <Tools reload={() => remote.reload()} />}
          {create !== undefined && may(create) && (
            <a class="button primary" href={href([ROOT, section.path, "new"])}>
              New {section.one}
            </a>
          )}
        </div>
      </div>
      <p class="soft">{section.about}</p>
      <Loaded remote={remote}>
        {(rows) => (
          <FilteredTable
            key={section.path}
            section={section}
            rows={rows}
            complete={!remote.loading.value && remote.error.value === undefined}
          />
        )}
      </Loaded>
    </>
  );
}

async function none(): Promise<readonly Entity[]> {
  return [];
}

interface FilteredTableProps {
  readonly section: Section;
  readonly rows: readonly Entity[];
  /** Whether these are all rows; more may still be on their way. */
  readonly complete: boolean;
}

function FilteredTable({ section, rows, complete }: FilteredTableProps) {
  const { text, chosen } = useFilter(section);
  const indexed = useMemo(() => haystacks(rows, section), [rows, section]);
  const found = useMemo(
    () => computed(() => filtered(indexed, text.value, chosen.value)),
    [indexed],
  );
  if (rows.length === 0) return <Nothing section={section} />;
  return (
    <>
      <div class="toolbar">
        <FilterField value={text.value} onChange={(next) => (text.value = next)} />
        {section.facets.map(({ field, label }) => (
          <FacetField
            key={field}
            label={label}
            counts={facetValues(rows, field)}
            value={chosen.value[field] ?? ""}
            choose={(value) => (chosen.value = { ...chosen.value, [field]: value })}
          />
        ))}
        <p class="soft count" role="status">
          {found.value.length === rows.length
            ? integer(rows.length)
            : `${integer(found.value.length)} of ${integer(rows.length)}`}
          {complete ? "" : ", and more"}
        </p>
      </div>
      {found.value.length === 0 ? (
        <Empty title="Nothing matches the filter.">
          <button
            type="button"
            onClick={() => {
              text.value = "";
              chosen.value = {};
            }}
          >
            Remove the filter
          </button>
        </Empty>
      ) : (
        <Table
          label={section.title}
          columns={section.columns.map(column)}
          rows={found.value}
          keyOf={(row) => String(row[section.idField])}
          hrefOf={(row) => href([ROOT, section.path, String(row[section.idField])])}
        />
      )}
    </>
  );
}

function column({ field, label, width, kind, wide }: ColumnSpec) {
  return {
    name: label,
    width,
    numeric: kind === "count",
    cell: (row: Entity) => cell(row[field], kind),
    ...(wide === undefined ? {} : { wide }),
  };
}

function FacetField({
  label,
  counts,
  value,
  choose,
}: {
  label: string;
  counts: readonly (readonly [value: string, count: number])[];
  value: string;
  choose: (value: string) => void;
}) {
  if (counts.length < 2 && value === "") return null;
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">All</option>
        {counts.map(([one, count]) => (
          <option key={one} value={one}>
            {words(one)} ({integer(count)})
          </option>
        ))}
      </select>
    </label>
  );
}

function Nothing({ section }: { section: Section }) {
  const { create } = section.operations;
  return (
    <Empty title={section.empty}>
      {create !== undefined && may(create) ? (
        <a href={href([ROOT, section.path, "new"])}>Create the first {section.one}</a>
      ) : (
        <p class="soft">Your role can read them, and an editor or admin can create them.</p>
      )}
    </Empty>
  );
}

/** How long the filter must stay the same before the address has it, in milliseconds. */
const SETTLED_MS = 150;

/** The filter, which the address keeps, so that Back returns to it. */
function useFilter(section: Section) {
  const query = location.peek().query;
  const text = useSignal(query.get("q") ?? "");
  const chosen = useSignal<Facets>(
    Object.fromEntries(section.facets.map(({ field }) => [field, query.get(field) ?? ""])),
  );
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    const timer = window.setTimeout(() => {
      go([ROOT, section.path], { q: text.value, ...chosen.value }, true);
    }, SETTLED_MS);
    return () => window.clearTimeout(timer);
  }, [text.value, chosen.value]);
  return { text, chosen };
}
