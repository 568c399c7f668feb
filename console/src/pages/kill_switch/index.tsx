/** The kill switch: stops a model or a provider for all tenants. */
import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { api, may } from "../../session";
import { Empty, ErrorBox, Loaded } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";
import { FilterField } from "../../ui/text_filter";
import { ByName } from "./by_name";
import {
  type Change,
  filtered,
  labelOf,
  type Provider,
  switchedOffBy,
  type Target,
} from "./models";
import { ProviderPanel } from "./provider_panel";
import { SwitchDialog } from "./switch_dialog";
import type { Effect } from "./switching";
import "./kill_switch.css";

/** Others may switch, too. */
const EVERY_MS = 5_000;
/** How many changes of the catalog are read to find who switched what off. */
const CHANGES = 500;
/** How many models are shown at once; more need a filter. */
const MOST = 300;

interface State {
  readonly providers: readonly Provider[];
  readonly changes: readonly Change[];
}

async function load(signal: AbortSignal): Promise<State> {
  const query = { kind: "model_config", op: "update", limit: CHANGES } as const;
  const [providers, log] = await Promise.all([
    api.call("ListProviderKillSwitches", { signal }),
    may("ListPlatformChanges") ? api.call("ListPlatformChanges", { query, signal }) : undefined,
  ]);
  return { providers, changes: log?.changes ?? [] };
}

export default function Page() {
  const remote = useRemote("kill-switch", load, EVERY_MS);
  const asked = useSignal<Target | undefined>(undefined);
  const effect = useSignal<Effect | undefined>(undefined);
  const finish = (done: Effect) => {
    asked.value = undefined;
    effect.value = done;
    remote.reload();
  };
  return (
    <div class="kill-switch">
      <div class="page-head">
        <h1>Kill switch</h1>
        <p class="soft">A model that is switched off is blocked for all tenants.</p>
      </div>
      {effect.value !== undefined && <EffectNotice effect={effect.value} />}
      <Loaded remote={remote}>
        {(state) => <Providers state={state} ask={(target) => (asked.value = target)} />}
      </Loaded>
      {asked.value !== undefined && (
        <SwitchDialog target={asked.value} close={() => (asked.value = undefined)} done={finish} />
      )}
    </div>
  );
}

/** What is decided now: the proof that the switch works. */
function EffectNotice({ effect }: { effect: Effect }) {
  const { target, off, decision, error, ms } = effect;
  const name = labelOf({ provider: target.provider, model: target.sample });
  return (
    <div class="notice switch-effect" role="status">
      <p>
        {labelOf(target)} is switched {off ? "off" : "on"}.{" "}
        {decision !== undefined && (
          <strong>
            Decisions for {name} now: <Badge value={decision.outcome} />, {integer(Math.round(ms))}{" "}
            ms after the switch
          </strong>
        )}
      </p>
      {decision !== undefined && decision.message !== "" && <p>{decision.message}</p>}
      {error !== undefined && <ErrorBox error={error} />}
    </div>
  );
}

function Providers({ state, ask }: { state: State; ask: (target: Target) => void }) {
  const text = useSignal("");
  const onlyOff = useSignal(false);
  const shown = useMemo(
    () => filtered(state.providers, text.value, onlyOff.value),
    [state.providers, text.value, onlyOff.value],
  );
  const by = useMemo(() => switchedOffBy(state.changes), [state.changes]);
  const count = shown.reduce((sum, { models }) => sum + models.length, 0);
  const off = state.providers.reduce((sum, one) => sum + one.kill_switch_disabled_count, 0);
  return (
    <>
      <div class="toolbar">
        <FilterField
          value={text.value}
          onChange={(next) => (text.value = next)}
          placeholder="gpt"
        />
        <label class="check">
          <input
            type="checkbox"
            checked={onlyOff.value}
            onChange={(event) => (onlyOff.value = event.currentTarget.checked)}
          />
          Only what is off
        </label>
        <p class="toolbar-note" role="status">
          {off === 0 ? "All models are on." : `${integer(off)} switched off.`}
        </p>
      </div>
      {may("DisableModelByName") && <ByName ask={ask} />}
      {count === 0 && <Nothing filter={text.value} onlyOff={onlyOff.value} />}
      {limited(shown, MOST).map((provider) => (
        <ProviderPanel
          key={provider.provider}
          provider={provider}
          whole={state.providers.find((one) => one.provider === provider.provider) ?? provider}
          switchedOffBy={by}
          ask={ask}
        />
      ))}
      {count > MOST && (
        <p class="soft">
          {integer(count - MOST)} more models are not shown. Filter to find the one you need.
        </p>
      )}
    </>
  );
}

function Nothing({ filter, onlyOff }: { filter: string; onlyOff: boolean }) {
  if (filter === "" && onlyOff) {
    return <Empty title="Nothing is switched off.">Requests for all models may pass.</Empty>;
  }
  if (filter === "") {
    return <Empty title="The catalog has no models.">Add one under Operate, Models.</Empty>;
  }
  return <Empty title={`No model matches “${filter}”.`}>Switch it off by its name above.</Empty>;
}

/** Returns the providers with at most `most` models in all. */
function limited(providers: readonly Provider[], most: number): readonly Provider[] {
  let left = most;
  return providers.flatMap((provider) => {
    const models = provider.models.slice(0, Math.max(0, left));
    left -= models.length;
    return models.length === 0 ? [] : [{ ...provider, models }];
  });
}
