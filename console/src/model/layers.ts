/** The layers of a decision: their names, and the pages of their policies. */
import { href } from "../router";
import { words } from "../ui/format";

interface LayerWords {
  readonly name: string;
  /** One policy of the layer, in a sentence. */
  readonly one: string;
  readonly purpose: string;
}

/** The layers in the order in which they are asked. */
export const LAYERS: Readonly<Record<string, LayerWords>> = {
  kill_switch: {
    name: "Kill switch",
    one: "the kill switch of",
    purpose: "stops models that are switched off",
  },
  limits: { name: "Limits", one: "the limit", purpose: "stops who has used up a limit" },
  customer: {
    name: "Customer policy",
    one: "the customer policy",
    purpose: "the policy of the customer that is named",
  },
  static: {
    name: "Static policies",
    one: "the static policy",
    purpose: "patterns of the system and of the tenant",
  },
  chain: { name: "Policy chains", one: "the rule", purpose: "rules of packs, in their order" },
  dlp: { name: "DLP rules", one: "the DLP rule", purpose: "what detectors find" },
  org: { name: "Org policy", one: "the org policy", purpose: "blocks by risk" },
};

/** Returns the name of a layer, as menus have it. */
export function layerName(layer: string): string {
  return LAYERS[layer]?.name ?? words(layer);
}

/** Returns the address of the policy of a match; undefined if it has no page. */
export function policyHref(layer: string, policyId: string): string | undefined {
  if (policyId === "") return undefined;
  switch (layer) {
    case "kill_switch":
      return href(["kill-switch"]);
    case "static":
      return href(["policies", "static", policyId]);
    case "dlp":
      return href(["policies", "dlp", policyId]);
    case "customer":
      return href(["policies", "customers", policyId]);
    case "limits":
      return href(["policies", "limits", policyId]);
    case "chain":
      return href(["policies", "packs"]);
    case "org":
      return href(["policies", "org-policy"]);
    default:
      return undefined;
  }
}
