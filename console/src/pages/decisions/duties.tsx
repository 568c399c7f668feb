/** What the caller had to do: obligations and warnings. */
import type { ComponentChildren } from "preact";
import type { Schemas } from "../../api/types";
import { href } from "../../router";
import { may } from "../../session";
import { time } from "../../ui/format";
import type { DecisionRecord } from "./rows";
import { placeName } from "./story";

type Obligation = Schemas["Obligation"];

export function DutiesSection({ record }: { record: DecisionRecord }) {
  const { obligations, warnings, frameworks } = record;
  if (obligations.length + warnings.length + frameworks.length === 0) return null;
  const names = new Map(record.matches.map(({ policy_id, name }) => [policy_id, name]));
  return (
    <section>
      <h2>What the caller had to do</h2>
      <ul>
        {obligations.map((obligation, index) => (
          <li key={index}>{duty(obligation)}</li>
        ))}
        {warnings.map(({ policy_id, message }) => (
          <li key={policy_id}>
            Show the warning “{message}”{" "}
            <span class="soft">({names.get(policy_id) || policy_id})</span>
          </li>
        ))}
        {obligations.length + warnings.length === 0 && <li>Nothing.</li>}
      </ul>
      {frameworks.length > 0 && (
        <p>
          <span class="soft">Compliance articles:</span> {frameworks.join(", ")}
        </p>
      )}
    </section>
  );
}

function duty(obligation: Obligation): ComponentChildren {
  switch (obligation.type) {
    case "REDACT":
      return <Redaction obligation={obligation} />;
    case "ROUTE_TO":
      return `Send the request to ${[obligation.provider, obligation.model].filter(Boolean).join("/")}.`;
    case "PROMPT":
      return `Show “${obligation.message ?? ""}”, and wait until the user confirms.`;
    case "MASK_FIELDS":
      return `Mask the fields ${(obligation.fields ?? []).join(", ")}.`;
    case "APPROVAL":
      return <Approval obligation={obligation} />;
    default:
      return String(obligation.type);
  }
}

function Redaction({ obligation }: { obligation: Obligation }) {
  const spans = obligation.spans ?? [];
  const places = spans.length === 1 ? "1 place" : `${spans.length} places`;
  return (
    <>
      Replace {places} by <code>{obligation.replacement}</code>:{" "}
      {spans
        .map(
          ({ entity_type, path, in_key, start, end }) =>
            `${entity_type ? `${entity_type} in ` : ""}${placeName(path, in_key)}, ${start} to ${end}`,
        )
        .join("; ")}
      .
    </>
  );
}

function Approval({ obligation }: { obligation: Obligation }) {
  const id = obligation.approval_id ?? "";
  return (
    <>
      Wait for the approval{" "}
      {may("GetApproval") ? <a href={href(["approvals", id])}>{id}</a> : <code>{id}</code>}
      {obligation.expires_at !== undefined && `, which expires at ${time(obligation.expires_at)}`}.
    </>
  );
}
