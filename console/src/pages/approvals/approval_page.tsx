/** One approval: what is asked, by whom and why it is held; and the answer. */
import { layerName } from "../../model/layers";
import { href } from "../../router";
import { api, may } from "../../session";
import { Ago } from "../../ui/ago";
import { Loaded } from "../../ui/feedback";
import { time, words } from "../../ui/format";
import { Redacted } from "../../ui/highlight";
import { Matches } from "../../ui/matches";
import { Badge } from "../../ui/outcome";
import { type Remote, useRemote } from "../../ui/remote";
import { AnswerForm } from "./answer_form";
import { Countdown } from "./lists";
import { type Approval, isOpen, requesterOf, toneOf } from "./states";

const EVERY_MS = 3_000;

export function ApprovalPage({ id }: { id: string }) {
  const remote = useRemote(
    id,
    (signal) => api.call("GetApproval", { path: { id }, signal }),
    EVERY_MS,
  );
  return (
    <>
      <p class="back">
        <a href={href(["approvals"])}>All approvals</a>
      </p>
      <Loaded remote={remote}>
        {(approval) => <Details approval={approval} remote={remote} />}
      </Loaded>
    </>
  );
}

function Details({ approval, remote }: { approval: Approval; remote: Remote<Approval> }) {
  const { state, message, record } = approval;
  return (
    <>
      <div class="page-head">
        <h1>{message === "" ? "Approval" : message}</h1>
        <Badge value={state} label={words(state)} tone={toneOf(state)} />
      </div>
      <div class="approval">
        <div>
          <Request approval={approval} />
          <h2>What matched</h2>
          <Matches matches={record?.matches ?? []} />
          <h2>Rules that ask</h2>
          <Rules approval={approval} />
        </div>
        <aside>
          <Facts approval={approval} />
          {isOpen(approval) && <AnswerForm approval={approval} remote={remote} />}
        </aside>
      </div>
    </>
  );
}

/** The request as it is recorded: without anything raw. */
function Request({ approval: { record } }: { approval: Approval }) {
  const text = record?.redacted_text;
  const sent = record?.redacted_arguments;
  const { tool = "", action = "", target } = record ?? {};
  const resource = [target?.resource_type, target?.resource_id].filter(Boolean).join(" ");
  return (
    <>
      <h2 class="first">The request</h2>
      <dl class="facts">
        <Fact name="Action" value={action} />
        <Fact name="Tool" value={tool} />
        <Fact name="Resource" value={resource} />
        <Fact
          name="Model"
          value={[record?.model?.provider, record?.model?.model].filter(Boolean).join("/")}
        />
        <Fact name="Direction" value={words(record?.direction ?? "")} />
      </dl>
      {text !== undefined && text !== null && text !== "" && <Redacted text={text} />}
      {sent !== undefined && sent !== null && <Redacted text={JSON.stringify(sent, null, 2)} />}
      {!text && !sent && <p class="soft">The record has no text and no arguments.</p>}
    </>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  if (value === "") return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

function Rules({ approval }: { approval: Approval }) {
  return (
    <ul class="rules">
      {approval.rules.map((rule) => (
        <li key={rule.policy_id}>
          <strong>{rule.name === "" ? rule.policy_id : rule.name}</strong>{" "}
          <span class="soft">{layerName(rule.layer)}</span>
          <br />
          {rule.approved_by ? (
            <>Approved by {rule.approved_by}</>
          ) : (
            <>
              {approval.state === "pending" ? "Waits for " : "Asks "}
              {rule.approvers.join(" or ")}
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

function Facts({ approval }: { approval: Approval }) {
  const { record, state } = approval;
  const groups = (record?.subject?.groups ?? []).join(", ");
  return (
    <dl class="facts panel">
      <Fact name="Who asks" value={requesterOf(approval)} />
      <Fact name="Groups" value={groups} />
      <Fact name="Caller" value={approval.asked_by} />
      <Fact name="Customer" value={record?.customer_id ?? ""} />
      <dt>Asked</dt>
      <dd>
        <Ago time={approval.created_at} />
      </dd>
      <dt>{isOpen(approval) ? "Ends in" : "Ended"}</dt>
      <dd>
        {isOpen(approval) ? <Countdown until={approval.expires_at} /> : time(approval.expires_at)}
      </dd>
      {record?.risk && (
        <>
          <dt>Risk</dt>
          <dd>
            {record.risk.score} <Badge value={record.risk.level} />
          </dd>
        </>
      )}
      {record && (
        <>
          <dt>Decision</dt>
          <dd>
            {may("GetRecord") ? (
              <a href={href(["decisions", record.decision_id])}>{record.decision_id}</a>
            ) : (
              record.decision_id
            )}
          </dd>
        </>
      )}
      {state !== "pending" && <Fact name="Answered by" value={approval.answered_by ?? ""} />}
      {approval.answered_at && <Fact name="Answered" value={time(approval.answered_at)} />}
      <Fact name="Reason" value={approval.answer_reason ?? ""} />
      {approval.used_at && <Fact name="Used" value={time(approval.used_at)} />}
    </dl>
  );
}
