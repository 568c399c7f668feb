/** Which page is shown. The address is in the fragment, so that one file serves all pages. */
import { computed, signal } from "@preact/signals";

export interface Location {
  /** The parts of the path, decoded: `["decisions", "dec_1"]`. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
}

const fragment = signal(window.location.hash);
window.addEventListener("hashchange", () => {
  fragment.value = window.location.hash;
});

export const location = computed(() => parse(fragment.value));

/** Returns the parts and the query of a fragment. */
export function parse(hash: string): Location {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter((part) => part !== "");
  return { parts: parts.map(decode), query: new URLSearchParams(query) };
}

/** Returns the address of a page, for `href`. Empty values of the query are left out. */
export function href(parts: readonly string[], query: Record<string, string> = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== "");
  const search = pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
  return `#/${parts.map(encodeURIComponent).join("/")}${search}`;
}

/** Shows a page. With `replace`, the page before it is not kept in the history. */
export function go(parts: readonly string[], query: Record<string, string> = {}, replace = false) {
  const target = href(parts, query);
  if (replace) {
    window.history.replaceState(null, "", target);
    fragment.value = window.location.hash;
  } else {
    window.location.hash = target;
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
