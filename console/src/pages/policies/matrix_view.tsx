/** Which compliance bundles are in force for which user groups. */
import { useSignal } from "@preact/signals";
import type { Schemas } from "../../api/types";
import { href } from "../../router";
import { api, may } from "../../session";
import { Empty, ErrorBox, Loaded, notify } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";

type Row = Schemas["ComplianceGroup"];
type Cell = Schemas["ComplianceCell"];

interface Matrix {
  readonly rows: readonly Row[];
  /** The bundles that are assigned to each group, by its id. */
  readonly assigned: ReadonlyMap<string, ReadonlySet<string>>;
}

async function readMatrix(signal: AbortSignal): Promise<Matrix> {
  const [rows, groups] = await Promise.all([
    api.call("GetComplianceMatrix", { signal }),
    api.call("ListUserGroups", { signal }),
  ]);
  return {
    rows,
    assigned: new Map(groups.map((group) => [group.id, new Set(group.bundle_ids)])),
  };
}

export function MatrixView() {
  const remote = useRemote("matrix", readMatrix);
  return (
    <>
      <div class="page-head">
        <h1>Bundles of groups</h1>
      </div>
      <p class="soft">
        Tick a bundle to put it in force for the users of a group. A bundle that is active for all
        users is in force for every group, whether it is ticked or not.
      </p>
      <Loaded remote={remote}>
        {(matrix) => <Grid matrix={matrix} reload={() => remote.reload()} />}
      </Loaded>
    </>
  );
}

function Grid({ matrix, reload }: { matrix: Matrix; reload: () => void }) {
  const bundles = matrix.rows[0]?.bundles ?? [];
  if (matrix.rows.length === 0) {
    return (
      <Empty title="There are no user groups.">
        <a href={href(["policies", "groups", "new"])}>Create a user group</a>
      </Empty>
    );
  }
  return (
    <div class="matrix" role="region" aria-label="Bundles of groups" tabIndex={0}>
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Group</th>
            {bundles.map((bundle) => (
              <th scope="col" key={bundle.bundle_id}>
                <a href={href(["policies", "compliance", bundle.bundle_id])}>
                  {bundle.bundle_name}
                </a>
                {bundle.upgrade_available && <span class="soft small">update available</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.rows.map((row) => (
            <tr key={row.group_id}>
              <th scope="row">
                <a href={href(["policies", "groups", row.group_id])}>{row.group_name}</a>
                <span class="soft small">{integer(row.member_count)} members</span>
              </th>
              {row.bundles.map((cell) => (
                <td key={cell.bundle_id}>
                  <Assignment
                    row={row}
                    cell={cell}
                    assigned={matrix.assigned.get(row.group_id)?.has(cell.bundle_id) === true}
                    reload={reload}
                  />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface AssignmentProps {
  readonly row: Row;
  readonly cell: Cell;
  readonly assigned: boolean;
  readonly reload: () => void;
}

function Assignment({ row, cell, assigned, reload }: AssignmentProps) {
  const task = useTask();
  const wanted = useSignal<boolean | undefined>(undefined);
  const path = { group_id: row.group_id, bundle_id: cell.bundle_id };
  const name = `${cell.bundle_name} for ${row.group_name}`;
  const toggle = async (on: boolean) => {
    wanted.value = on;
    const done = await task.run(async () => {
      if (on) await api.call("AssignUserGroupBundle", { path });
      else await api.call("UnassignUserGroupBundle", { path });
      notify(on ? `In force: ${name}` : `No longer assigned: ${name}`);
    });
    if (!done) wanted.value = undefined;
    reload();
  };
  const allowed = may(assigned ? "UnassignUserGroupBundle" : "AssignUserGroupBundle");
  const forAll = cell.enabled && !assigned && wanted.value !== true;
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          aria-label={name}
          disabled={!allowed || task.running.value}
          checked={wanted.value ?? assigned}
          onChange={(event) => void toggle(event.currentTarget.checked)}
        />
        {forAll && <span class="soft small">for all</span>}
      </label>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
