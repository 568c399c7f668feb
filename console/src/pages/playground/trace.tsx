/** How the decision came about: what each layer said, and why. */
import type { Schemas } from "../../api/types";
import { layerName } from "../../model/layers";
import { integer, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";

type Answer = Schemas["SimulateResponse"];
type Layer = Schemas["LayerResult"];
type Step = Schemas["TraceRow"];
type Bound = Schemas["CountUsage"] | Schemas["CostUsage"];

export function Trace({ answer }: { answer: Answer }) {
  const steps = answer.decision?.trace ?? [];
  return (
    <ol class="trace">
      {answer.layers.map((layer) => (
        <LayerStory
          key={layer.layer}
          layer={layer}
          steps={steps.filter((step) => step.layer === layer.layer && step.policy_id !== "")}
        />
      ))}
    </ol>
  );
}

function LayerStory({ layer, steps }: { layer: Layer; steps: readonly Step[] }) {
  const matched = steps.filter((step) => step.matched);
  const others = steps.filter((step) => !step.matched);
  return (
    <li>
      <p class="trace-layer">
        <strong>{layerName(layer.layer)}</strong> <Badge value={layer.outcome} />{" "}
        <span class="soft">{layer.reason}</span>
      </p>
      {matched.length > 0 && <Steps steps={matched} />}
      <Limits layer={layer} />
      {others.length > 0 && (
        <details>
          <summary class="soft">{others.length} looked at without a match</summary>
          <Steps steps={others} />
        </details>
      )}
    </li>
  );
}

function Steps({ steps }: { steps: readonly Step[] }) {
  return (
    <ul>
      {steps.map((step, index) => (
        <li key={index}>
          {step.matched && <Badge value={step.outcome} />} {nameOf(step)}
          {": "}
          <span class="soft">{step.reason}</span>
        </li>
      ))}
    </ul>
  );
}

function nameOf(step: Step): string {
  const policy = step.policy_name === "" ? step.policy_id : step.policy_name;
  const rule = step.rule_name === "" ? step.rule_id : step.rule_name;
  return rule === "" ? policy : `${policy}, rule ${rule}`;
}

/** How much of the limits is used. A simulation itself uses nothing. */
function Limits({ layer }: { layer: Layer }) {
  const usages = [...(layer.quotas ?? []), ...(layer.rate_limits ?? [])];
  const bounds = usages.flatMap((usage) =>
    Object.entries(usage)
      .filter((entry): entry is [string, Bound] => isBound(entry[1]))
      .map(([name, bound]) => ({ name, bound, of: `${usage.scope} ${usage.subject_id}` })),
  );
  if (bounds.length === 0) return null;
  return (
    <ul>
      {bounds.map(({ name, bound, of }) => (
        <li key={of + name}>
          {words(of)}: {integer(bound.used)} of {bound.limit === null ? "∞" : integer(bound.limit)}{" "}
          used, <span class="soft">{words(name).toLowerCase()}</span>
        </li>
      ))}
    </ul>
  );
}

function isBound(value: unknown): value is Bound {
  return typeof value === "object" && value !== null && "used" in value && "limit" in value;
}
