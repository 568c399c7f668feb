/** The rules of a pack, in the order in which they are evaluated. */
import { useSignal } from "@preact/signals";
import type { Schemas } from "../../api/types";
import { href } from "../../router";
import { api, may } from "../../session";
import { Empty, ErrorBox, notify } from "../../ui/feedback";
import { Badge } from "../../ui/outcome";
import { useTask } from "../../ui/remote";
import { addressOf, keepWarnings } from "./entity_store";
import { shown } from "./facts";
import { OrderedList } from "./ordered_list";
import type { EntityProps } from "./types";

type Rule = Schemas["PolicyRule"];

interface Item {
  readonly id: string;
  readonly label: string;
  readonly rule: Rule;
}

export function PackRules({ section, id, entity, reload }: EntityProps) {
  const own = entity["pack_type"] !== "bundle";
  const rules = (entity["rules"] ?? []) as readonly Rule[];
  const saved = rules.map((rule) => ({ id: rule.id, label: rule.name, rule }));
  const order = useSignal<readonly Item[] | undefined>(undefined);
  const task = useTask();
  const items = order.value ?? saved;
  const changed = items.some((item, index) => item.id !== saved[index]?.id);
  const write = () =>
    task.run(async () => {
      const entries = items.map((item, sequence) => ({ id: item.id, sequence }));
      const options = { path: { pack_id: id }, body: { entries } };
      const response = await api.fetch("ReorderPolicyRules", options);
      // The answer is a list, so its warnings are in a header.
      const warnings = JSON.parse(response.headers.get("x-pdp-warnings") ?? "[]") as unknown;
      keepWarnings(addressOf(section, id), { warnings });
      notify("The new order is in force.");
      order.value = undefined;
      reload();
    });
  const orderable = own && may("ReorderPolicyRules");
  return (
    <section class="form-group" aria-label="Rules of the pack">
      <div class="page-head">
        <h2>Rules</h2>
        {own && may("CreatePolicyRule") && (
          <a class="button" href={href(["policies", "packs", id, "rules", "new"])}>
            New rule
          </a>
        )}
      </div>
      {items.length === 0 ? (
        <Empty title="The pack has no rules yet.">
          <p class="soft">Without rules, it does nothing.</p>
        </Empty>
      ) : (
        <OrderedList
          label="Rules of the pack"
          items={items}
          onOrder={orderable ? (next) => (order.value = next) : undefined}
        >
          {({ rule }) => <RuleLine packId={id} rule={rule} linked={own} />}
        </OrderedList>
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {changed && (
        <div class="save-bar">
          <button
            type="button"
            class="primary"
            disabled={task.running.value}
            onClick={() => void write()}
          >
            Save the order
          </button>
          <button type="button" onClick={() => (order.value = undefined)}>
            Undo
          </button>
        </div>
      )}
    </section>
  );
}

function RuleLine({ packId, rule, linked }: { packId: string; rule: Rule; linked: boolean }) {
  const action = (rule.action ?? {}) as Record<string, unknown>;
  const conditions = Object.entries((rule.conditions ?? {}) as Record<string, unknown>);
  return (
    <>
      <span class="rule-head">
        {linked ? (
          <a href={href(["policies", "packs", packId, "rules", rule.id])}>{rule.name}</a>
        ) : (
          <strong>{rule.name}</strong>
        )}{" "}
        <Badge value={String(action["type"] ?? "")} />
        {!rule.is_active && <Badge value="not active" tone="quiet" />}
        {rule.mode === "monitor" && <Badge value="monitor" tone="quiet" />}
      </span>
      {rule.description !== "" && <span class="soft small">{rule.description}</span>}
      <span class="soft small">
        {conditions.length === 0
          ? "For every request."
          : conditions.map(([name, value]) => `${name}: ${shown(value)}`).join(" · ")}
      </span>
    </>
  );
}
