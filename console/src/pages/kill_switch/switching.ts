/** Switches models off and on, and shows what is decided then. */
import { ApiError } from "../../api/errors";
import type { Schemas } from "../../api/types";
import { api, may } from "../../session";
import { asApiError } from "../../ui/remote";
import type { Reason, Target } from "./models";

/** What is decided on requests after a switch. */
export interface Effect {
  readonly target: Target;
  readonly off: boolean;
  /** The decision; undefined if the caller may not simulate, or if that failed. */
  readonly decision: Schemas["DecideResponse"] | undefined;
  readonly error: ApiError | undefined;
  /** From the click to the decision, in milliseconds. */
  readonly ms: number;
}

export interface Order {
  readonly target: Target;
  readonly off: boolean;
  /** Empty only for switching a provider on. */
  readonly reason: Reason | "";
  readonly note: string;
}

/** Carries out an order. Returns what is decided on the model from then on. */
export async function carryOut(order: Order): Promise<Effect> {
  const begin = performance.now();
  const revision = await write(order);
  const { target, off } = order;
  const shown = { target, off, decision: undefined, error: undefined };
  const sinceClick = () => performance.now() - begin;
  if (!may("Simulate")) return { ...shown, ms: sinceClick() };
  const model = { provider: target.provider, model: target.sample };
  // Whichever process answers, it decides by the policies with the switch in them.
  const request = { model, ...(revision === undefined ? {} : { min_revision: revision }) };
  try {
    const { decision } = await api.call("Simulate", { body: { request } });
    return { ...shown, decision: decision ?? undefined, ms: sinceClick() };
  } catch (cause) {
    return { ...shown, error: asApiError(cause), ms: sinceClick() };
  }
}

async function write({ target, off, reason, note }: Order): Promise<number | undefined> {
  const { provider, model } = target;
  if (model === "") {
    const path = { provider };
    const sent = off
      ? await api.send("DisableProvider", { path, body: { reason: given(reason) } })
      : await api.send("EnableProvider", { path });
    return sent.revision;
  }
  const body = { ...(provider === "" ? {} : { provider }), model, reason: given(reason), note };
  const sent = await api.send(off ? "DisableModelByName" : "EnableModelByName", { body });
  return sent.revision;
}

function given(reason: Reason | ""): Reason {
  if (reason === "") throw new Error("a switch needs a reason");
  return reason;
}

/** Whether the caller may switch a target. */
export function maySwitch(target: Pick<Target, "model" | "off">): boolean {
  if (target.model === "") return may(target.off ? "EnableProvider" : "DisableProvider");
  return may(target.off ? "EnableModelByName" : "DisableModelByName");
}

/** Returns the entry of the catalog that a name of the form `provider/model` would be. */
export function entryOf({ provider, model }: Target) {
  if (provider !== "") return { provider, model_id: model };
  const cut = model.indexOf("/");
  if (cut <= 0 || cut === model.length - 1) return undefined;
  return { provider: model.slice(0, cut).toLowerCase(), model_id: model.slice(cut + 1) };
}

/** Adds a model to the catalog, so that it can be switched off. */
export async function addToCatalog(target: Target): Promise<void> {
  const body = entryOf(target);
  if (body !== undefined) await api.call("CreateModelConfig", { body });
}
