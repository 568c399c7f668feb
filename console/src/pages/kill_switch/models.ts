/** Which models are switched off, and who did it. */
import type { AnswerOf, Schemas } from "../../api/types";
import { wordMatcher } from "../../ui/text_filter";

export type Provider = AnswerOf<"ListProviderKillSwitches">[number];
export type Model = Schemas["KillSwitchState"];
export type Change = Schemas["PolicyChange"];
export type Reason = Schemas["DisableModelRequest"]["reason"];

export const REASONS: readonly Reason[] = [
  "maintenance",
  "cost_runaway",
  "security_event",
  "other",
];

/** What a switch stops, or lets pass again. */
export interface Target {
  readonly provider: string;
  /** The name of the model; empty for a whole provider. */
  readonly model: string;
  /** A model to show the effect with. */
  readonly sample: string;
  /** What is switched, in names that people know. */
  readonly names: readonly string[];
  readonly off: boolean;
}

export function modelTarget(model: Model): Target {
  const { provider, model_id, covered_names, kill_switch_active } = model;
  return {
    provider,
    model: model_id,
    sample: model_id,
    names: covered_names.filter((name) => ![model_id, `${provider}/${model_id}`].includes(name)),
    off: kill_switch_active,
  };
}

export function providerTarget(provider: Provider): Target {
  const names = provider.models.map(({ model_id }) => model_id);
  return {
    provider: provider.provider,
    model: "",
    sample: names[0] ?? "",
    names,
    off: provider.kill_switch_active,
  };
}

/** `openai/gpt-4o`, or `openai`. */
export function labelOf({ provider, model }: Pick<Target, "provider" | "model">): string {
  return [provider, model].filter((part) => part !== "").join("/");
}

/** Returns the providers with the models whose names contain all words; empty ones are left out. */
export function filtered(
  providers: readonly Provider[],
  text: string,
  onlyOff: boolean,
): readonly Provider[] {
  if (text.trim() === "" && !onlyOff) return providers;
  const matches = wordMatcher(text);
  return providers.flatMap((provider) => {
    const models = provider.models.filter((model) => {
      if (onlyOff && !model.kill_switch_active) return false;
      const names = [model.provider, model.display_name, ...model.covered_names, model.model_id];
      return matches(names.join(" ").toLowerCase());
    });
    return models.length === 0 ? [] : [{ ...provider, models }];
  });
}

/** Returns the newest change that switched each model off, by the ID of the model. */
export function switchedOffBy(changes: readonly Change[]): ReadonlyMap<string, Change> {
  const found = new Map<string, Change>();
  for (const change of changes) {
    // The newest come first.
    const off = change.summary.startsWith("Disabled");
    if (off && !found.has(change.entity_id)) found.set(change.entity_id, change);
  }
  return found;
}

/** Returns the note of a change: `T-1` of `Disabled: maintenance (T-1)`. */
export function noteOf(summary: string): string {
  return /^[^(]*\((.*)\)$/s.exec(summary)?.[1] ?? "";
}
