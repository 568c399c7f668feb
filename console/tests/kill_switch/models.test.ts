import { describe, expect, test } from "vitest";
import { targetOf } from "../../src/pages/kill_switch/by_name";
import {
  type Change,
  filtered,
  labelOf,
  noteOf,
  type Provider,
  providerTarget,
  switchedOffBy,
} from "../../src/pages/kill_switch/models";
import { entryOf } from "../../src/pages/kill_switch/switching";

function provider(name: string, models: Record<string, boolean>): Provider {
  const list = Object.entries(models).map(([model_id, off]) => ({
    id: model_id,
    provider: name,
    model_id,
    display_name: model_id.toUpperCase(),
    is_active: true,
    kill_switch_active: off,
    kill_switch_disabled_at: null,
    disabled_reason: null,
    covered_names: [model_id, `azure-${model_id}`],
  }));
  const off = list.filter((model) => model.kill_switch_active).length;
  return {
    provider: name,
    total_models: list.length,
    kill_switch_disabled_count: off,
    kill_switch_active: off === list.length,
    models: list,
  };
}

describe("models of the kill switch", () => {
  const providers = [
    provider("openai", { "gpt-4o": true, o3: false }),
    provider("xai", { grok: false }),
  ];
  const names = (found: readonly Provider[]) =>
    found.flatMap(({ models }) => models.map(({ model_id }) => model_id));

  test("the filter takes all words, in any of the names, and leaves empty providers out", () => {
    expect(names(filtered(providers, "", false))).toEqual(["gpt-4o", "o3", "grok"]);
    expect(names(filtered(providers, " OpenAI  azure-o3", false))).toEqual(["o3"]);
    expect(names(filtered(providers, "", true))).toEqual(["gpt-4o"]);
    expect(filtered(providers, "nothing", false)).toEqual([]);
  });

  test("who switched a model off is the newest such change", () => {
    const change = (entity_id: string, summary: string, actor: string) =>
      ({ entity_id, summary, actor }) as unknown as Change;
    const by = switchedOffBy([
      change("a", "Disabled: maintenance (T-2)", "second"),
      change("a", "Enabled: maintenance", "between"),
      change("a", "Disabled: other", "first"),
    ]);
    expect(by.get("a")?.actor).toBe("second");
    expect(by.get("b")).toBeUndefined();
    expect(noteOf("Disabled: maintenance (T-2 (again))")).toBe("T-2 (again)");
    expect(noteOf("Disabled: other")).toBe("");
  });

  test("a provider shows its effect with one of its models", () => {
    const target = providerTarget(providers[0] ?? provider("none", {}));
    expect(target).toMatchObject({ provider: "openai", model: "", sample: "gpt-4o", off: false });
    expect(labelOf(target)).toBe("openai");
  });

  test.each([
    ["openai/gpt-9", { provider: "openai", model_id: "gpt-9" }],
    ["OpenAI/team/gpt-9", { provider: "openai", model_id: "team/gpt-9" }],
    ["gpt-9", undefined],
    ["/gpt-9", undefined],
    ["openai/", undefined],
  ])("the entry of the catalog for %s", (name, entry) => {
    expect(entryOf(targetOf(name))).toEqual(entry);
  });
});
