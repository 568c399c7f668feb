/** Who is signed in, for which tenant, and what they may do. */
import { computed, signal } from "@preact/signals";
import { Api } from "./api/client";
import { ApiError } from "./api/errors";
import type { AnswerOf, Operation } from "./api/types";

export type Identity = AnswerOf<"WhoAmI">;

const CREDENTIAL = "pdp.credential";
const TENANT = "pdp.tenant";

/** The credential lives in memory. It is in the session storage only if the user asks for it. */
const credential = signal("");

/** The tenant that all calls are for; empty means the tenant of the credential. */
export const tenant = signal(sessionStorage.getItem(TENANT) ?? "");

/** The caller as the server knows it; undefined until a user has signed in. */
export const identity = signal<Identity | undefined>(undefined);

/** Why the last session ended; undefined if it did not end by itself. */
export const expiry = signal<ApiError | undefined>(undefined);

const allowed = computed(() => new Set<string>(identity.value?.methods ?? []));

/** Returns whether the caller may call an operation. What a role may not do is not offered. */
export function may(operation: Operation): boolean {
  return allowed.value.has(operation);
}

export const api = new Api(
  () => ({ credential: credential.value, tenant: tenant.value }),
  (error) => {
    if (identity.value === undefined) return;
    signOut();
    expiry.value = error;
  },
);

/**
 * Signs in. Throws `ApiError` if the server does not accept the credential.
 *
 * @param remember keeps the credential in the session storage until the tab is closed
 */
export async function signIn(value: string, forTenant: string, remember: boolean): Promise<void> {
  const candidate = new Api(
    () => ({ credential: value, tenant: forTenant }),
    () => undefined,
  );
  const who = await candidate.call("WhoAmI");
  credential.value = value;
  expiry.value = undefined;
  if (remember) sessionStorage.setItem(CREDENTIAL, value);
  else sessionStorage.removeItem(CREDENTIAL);
  // A credential for some tenants must name one in each call.
  const [first = ""] = who.tenants.length > 1 ? who.tenants : [];
  switchTenant(forTenant === "" ? first : forTenant);
  identity.value = who;
}

/** Signs in with what the tab has stored, or with nothing: development mode needs no credential. */
export async function resume(): Promise<void> {
  const stored = sessionStorage.getItem(CREDENTIAL) ?? "";
  try {
    await signIn(stored, tenant.value, stored !== "");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (stored !== "" && error.status === 401) sessionStorage.removeItem(CREDENTIAL);
    if (stored !== "" || error.status !== 401) expiry.value = error;
  }
}

/** Forgets the credential, and everything that the tab has stored. */
export function signOut(): void {
  credential.value = "";
  identity.value = undefined;
  expiry.value = undefined;
  sessionStorage.clear();
}

/** Changes the tenant that all calls are for. */
export function switchTenant(value: string): void {
  tenant.value = value;
  if (value === "") sessionStorage.removeItem(TENANT);
  else sessionStorage.setItem(TENANT, value);
}
