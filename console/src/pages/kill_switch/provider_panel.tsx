/** A provider with its models, each with its switch. */
import { Ago } from "../../ui/ago";
import { integer, time, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";

import {
  type Change,
  type Model,
  modelTarget,
  noteOf,
  type Provider,
  providerTarget,
  labelOf,
  type Target,
} from "./models";
import { maySwitch } from "./switching";

interface PanelProps {
  /** The provider with the models that are shown. */
  readonly provider: Provider;
  /** The provider with all of its models. */
  readonly whole: Provider;
  readonly switchedOffBy: ReadonlyMap<string, Change>;
  readonly ask: (target: Target) => void;
}

export function ProviderPanel({ provider, whole, switchedOffBy, ask }: PanelProps) {
  const { total_models, kill_switch_disabled_count: off, kill_switch_active } = whole;
  return (
    <section class="panel provider" aria-label={provider.provider}>
      <header>
        <div>
          <h2>{provider.provider}</h2>
          <p class="soft small">
            {integer(total_models)} {total_models === 1 ? "model" : "models"}
            {off > 0 && `, ${integer(off)} off`}
            {kill_switch_active && ", and all others of this provider"}
          </p>
        </div>
        <Switch target={providerTarget(whole)} ask={ask} large />
      </header>
      <ul>
        {provider.models.map((model) => (
          <ModelRow key={model.id} model={model} change={switchedOffBy.get(model.id)} ask={ask} />
        ))}
      </ul>
    </section>
  );
}

function ModelRow(props: {
  model: Model;
  change: Change | undefined;
  ask: (target: Target) => void;
}) {
  const { model, change, ask } = props;
  return (
    <li class={model.kill_switch_active ? "off" : ""}>
      <div>
        <strong>{model.display_name}</strong> <code>{model.model_id}</code>
        {model.kill_switch_active && <OffNote model={model} change={change} />}
      </div>
      <Switch target={modelTarget(model)} ask={ask} />
    </li>
  );
}

/** Since when a model is off, by whom, and why. */
function OffNote({ model, change }: { model: Model; change: Change | undefined }) {
  const note = change === undefined ? "" : noteOf(change.summary);
  return (
    <p class="small">
      Off since{" "}
      <span title={time(model.kill_switch_disabled_at)}>
        <Ago time={model.kill_switch_disabled_at} />
      </span>
      {change !== undefined && <> by {change.actor}</>}: {words(model.disabled_reason ?? "")}
      {note !== "" && `, ${note}`}
    </p>
  );
}

/** A large switch. It only asks; the dialog acts. */
function Switch(props: { target: Target; ask: (target: Target) => void; large?: boolean }) {
  const { target, ask, large } = props;
  const state = target.off ? "Off" : "On";
  if (!maySwitch(target)) {
    return <Badge value={state} tone={target.off ? "bad" : "good"} />;
  }
  return (
    <button
      type="button"
      role="switch"
      class={`switch${large === true ? " large" : ""}`}
      aria-checked={!target.off}
      aria-label={labelOf(target)}
      onClick={() => ask(target)}
    >
      <span class="track" aria-hidden="true" />
      <span class="state" aria-hidden="true">
        {state}
      </span>
    </button>
  );
}
