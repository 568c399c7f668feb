/** Puts what is typed in the draft, instead of saving it at once. */
export function DraftButton(_props: { section: unknown; values: unknown; entity: unknown }) {
  return null;
}
