/** What was asked: who, of which model, with which text. Redactions are marked. */
import type { ComponentChildren } from "preact";
import { href } from "../../router";
import { time, integer } from "../../ui/format";
import { pieces, RedactedText, type Span } from "../../ui/highlight";
import type { FilterName } from "./filters";
import { matchedSpans } from "./places";
import { type DecisionRecord, modelName } from "./rows";
import { leavesOf } from "./story";

export function AskedSection({ record }: { record: DecisionRecord }) {
  return (
    <>
      <dl class="facts">{factsOf(record)}</dl>
      <RecordedText record={record} />
      <RecordedArguments record={record} />
    </>
  );
}

function factsOf(record: DecisionRecord): ComponentChildren {
  const { subject, model, target } = record;
  return (
    <>
      <Linked name="User" filter="user_id" value={subject?.user_id} />
      <Fact name="Groups" value={(subject?.groups ?? []).join(", ")} />
      <Linked name="Agent" filter="agent_id" value={subject?.agent_id} />
      <Linked name="Customer" filter="customer_id" value={record.customer_id} />
      <Linked name="Model" filter="model" value={model?.model && modelName(record)} />
      {!model?.model && <Linked name="Provider" filter="provider" value={model?.provider} />}
      <Fact name="Tool" value={record.tool} />
      <Linked name="Action" filter="action" value={record.action} />
      <Fact name="Resource" value={resource(target)} />
      <Fact name="Labels" value={(target?.classifications ?? []).join(", ")} />
      <Fact name="Fields" value={(target?.fields ?? []).join(", ")} />
      <Fact name="Direction" value={record.direction} />
      <Fact name="Channel" value={record.channel} />
      <Fact name="Complexity" value={record.intent_complexity} />
      <Fact name="Usage" value={usage(record)} />
      <Fact name="Asked at" value={record.asked_at === null ? "" : time(record.asked_at)} />
    </>
  );
}

export function Fact({ name, value }: { name: string; value: string | undefined }) {
  if (value === undefined || value === "") return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

/** A fact that leads to the decisions with the same value. */
function Linked({
  name,
  filter,
  value,
}: {
  name: string;
  filter: FilterName;
  value: string | undefined;
}) {
  if (value === undefined || value === "") return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <a href={href(["decisions"], { [filter]: value })} title="All decisions with this value">
          {value}
        </a>
      </dd>
    </>
  );
}

function resource(target: DecisionRecord["target"]): string {
  const { resource_type = "", resource_id = "", sensitivity_level } = target ?? {};
  const level = sensitivity_level === undefined ? "" : `(sensitivity ${sensitivity_level})`;
  return [resource_type, resource_id, level].filter((part) => part !== "").join(" ");
}

function usage(record: DecisionRecord): string {
  const { tokens = 0, cost_usd = 0 } = record.usage ?? {};
  const parts = [
    tokens > 0 ? `${integer(tokens)} tokens` : "",
    cost_usd > 0 ? `${cost_usd} US dollars` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function RecordedText({ record }: { record: DecisionRecord }) {
  const { redacted_text: text, text_length: length } = record;
  if (text !== null && text !== "") {
    return (
      <>
        <h3>Text, redacted</h3>
        <MarkedText text={text} spans={matchedSpans(record)} />
      </>
    );
  }
  if (length === 0) return null;
  return (
    <p class="notice">
      The text of {integer(length)} characters is not recorded: the logging level was{" "}
      {record.logging_level}. At the level full, texts are recorded without what was found in them.
    </p>
  );
}

/** The text with its redactions, and with what policies matched if that is still in it. */
function MarkedText({ text, spans }: { text: string; spans: readonly Span[] }) {
  return (
    <>
      <pre class="highlighted" tabIndex={0}>
        {pieces(text, spans).map((piece, index) =>
          piece.title === "" ? (
            <RedactedText key={index} text={piece.text} />
          ) : (
            <mark key={index} title={piece.title}>
              {piece.text}
            </mark>
          ),
        )}
      </pre>
      {spans.length > 0 && (
        <p class="soft small">
          <mark>Marked like this</mark> is what policies matched.
        </p>
      )}
    </>
  );
}

/** The arguments or the payload, value by value, as the places of the findings name them. */
function RecordedArguments({ record }: { record: DecisionRecord }) {
  const values = record.redacted_arguments;
  const name = record.payload_format ? "Payload" : "Arguments";
  if (values === null) {
    if (record.arguments_sha256 === "") return null;
    return (
      <p class="notice">
        The {name.toLowerCase()} are not recorded at the logging level {record.logging_level}.
      </p>
    );
  }
  return (
    <>
      <h3>{name}, redacted</h3>
      <table class="plain-table values">
        <thead>
          <tr>
            <th scope="col">Place</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {leavesOf(values).map(({ path, text }) => (
            <tr key={path}>
              <th scope="row">
                <code>{path}</code>
              </th>
              <td>
                <RedactedText text={text} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
