/** One decision: the outcome, why, what must be done, and how it came about. */
import type { Schemas } from "../../api/types";
import { ErrorBox } from "../../ui/feedback";
import { duration, words } from "../../ui/format";
import { Redacted } from "../../ui/highlight";
import { Matches } from "../../ui/matches";
import { Badge } from "../../ui/outcome";
import type { Inputs } from "./inputs";
import { Marked } from "./marked";
import { placesOf } from "./places";
import type { Run } from "./runs";
import { Trace } from "./trace";

type Decision = Schemas["DecideResponse"];
type Obligation = Schemas["Obligation"];

/** What an outcome means for the request. */
const MEANINGS: Readonly<Record<string, string>> = {
  ALLOW: "It may pass.",
  WARN: "It may pass, with a warning.",
  ALLOW_WITH_OVERRIDE: "It may pass, with a notice.",
  ROUTE_TO: "It may pass, to another model.",
  REDACT: "It may pass, redacted.",
  PROMPT: "It waits for an answer of the user.",
  ESCALATE: "It waits for the approval of a second person.",
  CANCEL: "It may not pass: the action is cancelled.",
  BLOCK: "It may not pass.",
};

export function Result({ title, run, tried }: { title: string; run: Run; tried: Inputs }) {
  return (
    <section class="result" aria-label={title}>
      <h2>{title}</h2>
      {run.error !== undefined && <ErrorBox error={run.error} />}
      {run.answer?.decision && (
        <Answer answer={run.answer} decision={run.answer.decision} us={run.us} tried={tried} />
      )}
    </section>
  );
}

function Answer(props: {
  answer: Schemas["SimulateResponse"];
  decision: Decision;
  us: number;
  tried: Inputs;
}) {
  const { answer, decision, us, tried } = props;
  const redacted = redactedOf(decision);
  return (
    <>
      <Verdict decision={decision} us={us} />
      {(answer.warnings ?? []).map(({ field, message }) => (
        <p class="notice caution" key={field + message}>
          {message}
        </p>
      ))}
      <h3>What was found</h3>
      <Marked tried={tried} places={placesOf(decision)} />
      <Matches matches={decision.matches} />
      <Duties obligations={decision.obligations} warnings={decision.warnings} />
      {redacted !== "" && (
        <>
          <h3>What may go on</h3>
          <Redacted text={redacted} />
        </>
      )}
      <h3>How it was decided</h3>
      <Trace answer={answer} />
    </>
  );
}

function Verdict({ decision, us }: { decision: Decision; us: number }) {
  const { outcome, allowed, message, reason_code, risk, incomplete, stale } = decision;
  const text = message === "" ? "No policy stops or changes this request." : message;
  return (
    <div class="verdict" role="status">
      <p class="verdict-outcome">
        <Badge value={outcome} />
        <span>{MEANINGS[outcome] ?? (allowed ? "It may pass." : "It may not pass.")}</span>
      </p>
      <p class="verdict-message">{text}</p>
      <p class="soft small">
        {reason_code !== "" && (
          <>
            <code>{reason_code}</code> ·{" "}
          </>
        )}
        {risk !== null && (
          <>
            Risk {risk.score} <Badge value={risk.level} /> ·{" "}
          </>
        )}
        HTTP {decision.status_hint} · Revision {decision.revision} · Answered in {duration(us)}
        {decision.payload_format !== undefined && ` · Format ${decision.payload_format}`}
      </p>
      {incomplete && (
        <p class="problem">
          A part of the request could not be evaluated, so the safe outcome holds.
        </p>
      )}
      {stale === true && (
        <p class="problem">The policies are saved ones; the database cannot be read.</p>
      )}
      {decision.frameworks.length > 0 && (
        <p class="small">Compliance: {decision.frameworks.join(", ")}</p>
      )}
      {(decision.unjudged ?? []).length > 0 && (
        <p class="small">
          Not judged, because it is no text: {(decision.unjudged ?? []).join(", ")}
        </p>
      )}
    </div>
  );
}

/** What an enforcement point must do, in words. */
function Duties(props: { obligations: readonly Obligation[]; warnings: Decision["warnings"] }) {
  const texts = [
    ...props.obligations.map(dutyOf),
    ...props.warnings.map(({ message }) => `Show the warning: ${message}`),
  ];
  if (texts.length === 0) return null;
  return (
    <>
      <h3>What the caller must do</h3>
      <ul>
        {texts.map((text, index) => (
          <li key={index}>{text}</li>
        ))}
      </ul>
    </>
  );
}

/** Returns an obligation as a sentence. */
export function dutyOf(obligation: Obligation): string {
  const { type, spans, replacement, model, provider, message, fields } = obligation;
  const count = spans?.length ?? 0;
  switch (type) {
    case "REDACT":
      return `Redact ${count} ${count === 1 ? "place" : "places"}, with ${replacement ?? ""} instead.`;
    case "ROUTE_TO":
      return `Send it to the model ${[provider, model].filter(Boolean).join("/")}.`;
    case "PROMPT":
      return `Ask the user, and wait for the answer: ${message ?? ""}`;
    case "MASK_FIELDS":
      return `Mask the fields ${(fields ?? []).join(", ")}.`;
    case "APPROVAL":
      return `Wait until a second person approves: ${message ?? ""}`;
    default:
      return [words(type), message].filter(Boolean).join(": ");
  }
}

function redactedOf(decision: Decision): string {
  if (decision.redacted_payload !== undefined) return decision.redacted_payload;
  if (decision.redacted_text !== undefined) return decision.redacted_text;
  const found = decision.redacted_arguments;
  return found === undefined ? "" : JSON.stringify(found, null, 2);
}
