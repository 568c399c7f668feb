/** Reads and writes of chains. A chain has no read of its own, so its tag is that of its last change. */
import type { Answer } from "../../api/client";
import type { Schemas } from "../../api/types";
import type { Values } from "../../forms/fields";
import { api } from "../../session";
import { tagOf } from "./calls";
import type { Section } from "./types";

export type Chain = Schemas["PolicyChain"];

/** The id of the tenant's chain in the change log, and before the id of a user. */
export const ORG = "org";
export const USER = "user:";

/** Returns the id of a chain in the change log. */
export function chainId(chain: Pick<Chain, "scope" | "user_id">): string {
  return chain.scope === ORG ? ORG : `${USER}${chain.user_id ?? ""}`;
}

type Algorithm = "first_applicable" | "deny_overrides";
export type Pack = Schemas["PolicyPack"];

/** What the editor of a chain starts from. */
export interface ChainState {
  readonly chain: Chain | undefined;
  readonly etag: string;
  readonly packs: readonly Pack[];
}

/** Reads a chain with the tag of its state; the chain is undefined if there is none yet. */
export async function readChain(id: string, signal?: AbortSignal): Promise<ChainState> {
  // The tag first: if the chain changes between the reads, the tag is older, and a write fails.
  const etag = await tagOf("policy_chain", id, signal);
  const [chains, packs] = await Promise.all([
    api.call("ListPolicyChains", { signal }),
    api.call("ListPolicyPacks", { signal }),
  ]);
  return { chain: chains.find((one) => chainId(one) === id), etag, packs };
}

/** Writes a whole chain, as the order of the ids of its packs. */
export function writeChain(
  id: string,
  packIds: readonly string[],
  algorithm: string,
  ifMatch: string,
): Promise<Answer<unknown>> {
  const body = {
    packs: packIds.map((pack) => ({ id: pack })),
    combining_algorithm: algorithm as Algorithm,
  };
  if (id === ORG) return api.send("ReplaceOrgPolicyChain", { body, ifMatch });
  const path = { user_id: id.slice(USER.length) };
  return api.send("ReplaceUserPolicyChain", { path, body, ifMatch });
}

/** How the chain is written in a policy file. */
export function draftSection(id: string): Pick<Section, "draft" | "nameField"> {
  const user = id === ORG ? {} : { user_id: id.slice(USER.length) };
  const section = id === ORG ? "chain" : "user_chains";
  return {
    nameField: "user_id",
    draft: (values) => ({
      section,
      entry: { ...user, ...values },
      references: { packs: "packs" },
    }),
  };
}

/** Returns the values of a draft of a chain. */
export function draftValues(packs: readonly string[], combining_algorithm: string): Values {
  return { packs, combining_algorithm };
}
