/** What can be done with a compliance bundle, and the rules that it has. */
import type { Schemas } from "../../api/types";
import { href } from "../../router";
import { api, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, notify } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote, useTask } from "../../ui/remote";
import { Table } from "../../ui/table";
import { addressOf, keepWarnings } from "./entity_store";
import type { EntityProps } from "./types";

export function BundleActions({ section, id, entity, reload }: EntityProps) {
  const task = useTask();
  const path = { bundle_id: id };
  const address = addressOf(section, id);
  const matrix = useRemote(`newer ${id}`, async (signal) =>
    may("GetComplianceMatrix") ? api.call("GetComplianceMatrix", { signal }) : [],
  );
  const cell = matrix.value.value?.[0]?.bundles.find((one) => one.bundle_id === id);
  const newer = cell?.upgrade_available === true;
  const active = entity["enabled"] === true;
  const activate = () =>
    task.run(async () => {
      const answer = await api.call("ActivateComplianceBundle", { path });
      keepWarnings(address, answer);
      notify(`In force for all users: ${integer(answer.rules_updated)} rules.`);
      reload();
    });
  const deactivate = () =>
    task.run(async () => {
      const answer = await api.call("DeactivateComplianceBundle", { path });
      keepWarnings(address, answer);
      notify("No longer in force for all users. Groups that have the bundle keep it.");
      reload();
    });
  const upgrade = () =>
    task.run(async () => {
      const answer = await api.call("UpgradeComplianceBundle", { path });
      keepWarnings(address, answer);
      notify(
        `Upgraded to ${answer.new_version}: ${integer(answer.rules_added)} rules added, ${integer(answer.rules_removed)} removed.`,
      );
      matrix.reload();
      reload();
    });
  return (
    <div class="panel form-group bundle-actions">
      <p>
        <Badge
          value={active ? "low" : "none"}
          label={active ? "Active for all users" : "Not active"}
        />{" "}
        {newer && <Badge value="A newer definition is available" tone="caution" />}
      </p>
      <div class="row-buttons">
        {!active && may("ActivateComplianceBundle") && (
          <ConfirmButton
            label="Activate"
            question={<p>All rules of the bundle are then in force for all users of the tenant.</p>}
            confirm="Activate for all users"
            danger={false}
            disabled={task.running.value}
            run={activate}
          />
        )}
        {active && may("DeactivateComplianceBundle") && (
          <ConfirmButton
            label="Deactivate"
            question={
              <p>The rules are then out of force, except for groups that have the bundle.</p>
            }
            confirm="Deactivate"
            disabled={task.running.value}
            run={deactivate}
          />
        )}
        {newer && may("UpgradeComplianceBundle") && (
          <ConfirmButton
            label="Upgrade"
            question={<p>Your own rules in the bundle and your changes of its rules remain.</p>}
            confirm="Upgrade to the latest definition"
            danger={false}
            disabled={task.running.value}
            run={upgrade}
          />
        )}
        <a class="button" href={href(["policies", "matrix"])}>
          Put it in force for groups
        </a>
      </div>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </div>
  );
}

export function BundleRules({ entity }: EntityProps) {
  const rules = (entity["rules"] ?? []) as readonly Schemas["BundleRule"][];
  if (rules.length === 0) return <p class="soft">The bundle has no rules.</p>;
  return (
    <section class="form-group" aria-label="Rules of the bundle">
      <h2>Rules</h2>
      <Table
        label="Rules of the bundle"
        rows={rules}
        keyOf={(rule) => rule.id}
        hrefOf={(rule) => href(["policies", "dlp", rule.id])}
        columns={[
          { name: "Name", width: "minmax(0, 2fr)", cell: (rule) => rule.detector_name },
          { name: "Action", width: "6rem", cell: (rule) => <Badge value={rule.action_tier} /> },
          { name: "In force", width: "5rem", cell: (rule) => (rule.enabled ? "Yes" : "No") },
          { name: "Finds", width: "minmax(0, 1fr)", wide: true, cell: (rule) => rule.entity_type },
          {
            name: "Clause",
            width: "minmax(0, 1fr)",
            wide: true,
            cell: (rule) => (rule.clause === "" ? "own rule" : rule.clause),
          },
        ]}
      />
    </section>
  );
}
