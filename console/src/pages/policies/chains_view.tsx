/** The chains: that of all users, and those of single users. */
import { useSignal } from "@preact/signals";
import { go, href } from "../../router";
import { api, may } from "../../session";
import { Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { useRemote } from "../../ui/remote";
import { Table } from "../../ui/table";
import { type Chain, chainId, ORG, USER } from "./chain_store";

export function ChainsView() {
  const remote = useRemote("chains", (signal) => api.call("ListPolicyChains", { signal }));
  return (
    <>
      <div class="page-head">
        <h1>Chains</h1>
      </div>
      <p class="soft">
        The packs that are evaluated, in order: first the chain of the user, if there is one, and
        that of all users. The stronger verdict counts.
      </p>
      <Loaded remote={remote}>{(chains) => <Chains chains={chains} />}</Loaded>
    </>
  );
}

function Chains({ chains }: { chains: readonly Chain[] }) {
  const users = chains.filter((chain) => chain.scope !== ORG);
  const org = chains.find((chain) => chain.scope === ORG);
  return (
    <>
      <section class="panel form-group" aria-label="The chain of all users">
        <h2>All users</h2>
        <Summary chain={org} />
        <a class="button" href={href(["policies", "chains", ORG])}>
          {may("ReplaceOrgPolicyChain") ? "Edit the chain" : "Show the chain"}
        </a>
      </section>
      <h2>Single users</h2>
      {users.length > 0 && (
        <Table
          label="Chains of users"
          rows={users}
          keyOf={chainId}
          hrefOf={(chain) => href(["policies", "chains", chainId(chain)])}
          columns={[
            { name: "User", width: "minmax(0, 1fr)", cell: (chain) => chain.user_id },
            {
              name: "Packs",
              width: "minmax(0, 2fr)",
              cell: (chain) => chain.packs.map((pack) => pack.pack_name).join(", "),
            },
            {
              name: "Combination",
              width: "10rem",
              wide: true,
              cell: (chain) => words(chain.combining_algorithm),
            },
          ]}
        />
      )}
      {users.length === 0 && <p class="soft">No user has a chain of their own.</p>}
      {may("ReplaceUserPolicyChain") && <NewUserChain />}
    </>
  );
}

function Summary({ chain }: { chain: Chain | undefined }) {
  const packs = chain?.packs ?? [];
  if (packs.length === 0) return <p class="soft">The chain is empty: no pack is in force.</p>;
  return (
    <ol>
      {packs.map((pack) => (
        <li key={pack.id}>
          {pack.pack_name}{" "}
          <span class="soft">
            {integer(pack.rule_count)} rules{pack.is_active ? "" : ", not active"}
          </span>
        </li>
      ))}
    </ol>
  );
}

function NewUserChain() {
  const user = useSignal("");
  return (
    <form
      class="toolbar new-chain"
      onSubmit={(event) => {
        event.preventDefault();
        if (user.value.trim() !== "") go(["policies", "chains", `${USER}${user.value.trim()}`]);
      }}
    >
      <label>
        A chain for the user
        <input
          type="text"
          autocomplete="off"
          spellcheck={false}
          maxLength={256}
          placeholder="ID of the user"
          value={user.value}
          onInput={(event) => (user.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}
